//! Credentials: what the broker adds to a request and the guest never sees.
//!
//! A guest names one, or a grant attaches it; which one and whether it may go there is decided by
//! [`Credentials::select`] and [`Credential::check`], what it does to a request by [`Credential::dress`].

mod assertion;
mod aws;
mod dress;
mod endpoint;
mod grant;
mod recipe;
mod sender;
mod settings;
mod source;
mod store;
mod template;
mod tokens;
mod workspace;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, Method};
use tokio::time::Instant;
use url::Url;

use self::aws::{Signer, add_signature};
use self::dress::{add_bearer, add_fixed, conflict, pair};
use self::grant::Grant;
use self::recipe::Recipe;
use self::settings::{AwsKeys, Kind, OAUTH, Origins, Token};
use self::source::Value;
use self::template::TokenUrl;
use self::tokens::{Bearer, TOKEN_MARK};
use self::workspace::Workspace;
use super::policy::{Permit, Policy, toml_key};
use super::request::{Error, Parsed};
use crate::vault::{Scrubber, Vault};

pub use assertion::Signing;
pub(super) use endpoint::Sender;
pub use settings::{Auth, CredentialError, CredentialSettings, Prepared, is_credential_name};
pub use source::{Lookup, Source};
pub use store::{DiskStore, Entry, EntryName, MemoryStore, Store, StoreError};
pub use workspace::{OAuthClient, OnRefresh};

/// What tells the time of day, for signatures and saved tokens.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What credentials work with.
pub(super) struct Tools {
    pub sender: Arc<dyn Sender>,
    pub store: Arc<dyn Store>,
    pub clock: Clock,
}

/// The credentials of one connector. Cheap to clone.
#[derive(Clone)]
pub(super) struct Credentials {
    by_name: Arc<BTreeMap<String, Arc<Credential>>>,
    workspace: Arc<Workspace>,
    /// Finds the values that the settings hold.
    fixed: Arc<Scrubber>,
}

/// One credential.
pub(super) struct Credential {
    name: Arc<str>,
    kind: Kind,
    origins: Option<Origins>,
    /// The lines by which the operator would write it, where the connector declares it.
    declared: Option<String>,
    grant: Arc<Grant>,
    /// What its token is asked for with, where no configuration changes it.
    recipe: OnceLock<Arc<Recipe>>,
    workspace: Arc<Workspace>,
    clock: Clock,
}

/// A request with a credential in it.
pub(super) struct Dressed {
    /// To be sent once.
    pub request: Parsed,
    token: Option<(Arc<Recipe>, Bearer)>,
}

impl Dressed {
    /// Whether another token may help where this one is refused.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }
}

impl Credentials {
    /// The credentials of that connector, by name. `oauth` is always among them.
    pub fn new(connector: Arc<str>, prepared: BTreeMap<String, Prepared>, tools: Tools) -> Self {
        let workspace = Arc::new(Workspace::new(&connector, &tools));
        Self::with_workspace(connector, prepared, tools, workspace)
    }

    /// Other credentials with the same grant of the workspace. Its token requests go by the new way
    /// from now on.
    pub fn with_same_grant(
        &self,
        connector: Arc<str>,
        prepared: BTreeMap<String, Prepared>,
        tools: Tools,
    ) -> Self {
        self.workspace.send_by(tools.sender.clone());
        Self::with_workspace(connector, prepared, tools, self.workspace.clone())
    }

    fn with_workspace(
        connector: Arc<str>,
        prepared: BTreeMap<String, Prepared>,
        tools: Tools,
        workspace: Arc<Workspace>,
    ) -> Self {
        let tools = Arc::new(tools);
        let grant = |name: &str| {
            let name = EntryName { connector: connector.clone(), credential: name.into() };
            Arc::new(Grant::new(name, tools.clone()))
        };
        let fixed = Arc::new(scrubber(prepared.values()));
        let own = Prepared { kind: Kind::Workspace, origins: None, declared: None };
        let all = [(OAUTH.to_owned(), own)].into_iter().chain(prepared);
        let credential = |(name, prepared): (String, Prepared)| {
            let Prepared { kind, origins, declared } = prepared;
            let is_workspace = matches!(kind, Kind::Workspace);
            let grant = if is_workspace { workspace.grant.clone() } else { grant(&name) };
            let (workspace, clock) = (workspace.clone(), tools.clock.clone());
            let own_name = name.as_str().into();
            let recipe = OnceLock::new();
            let credential = Credential {
                name: own_name,
                kind,
                origins,
                declared,
                grant,
                recipe,
                workspace,
                clock,
            };
            (name, Arc::new(credential))
        };
        let by_name = Arc::new(all.map(credential).collect());
        Self { by_name, workspace, fixed }
    }

    /// The credential of a request: the one that the guest names, or that the grant attaches.
    pub fn select(
        &self,
        named: Option<&str>,
        attached: Option<&str>,
        permit: &Permit,
    ) -> Result<Option<Arc<Credential>>, Error> {
        let name = match (named, attached) {
            (Some(named), Some(attached)) if named != attached => {
                return Err(Error::InvalidRequest(format!(
                    "the request names the credential {:?}, but what goes to {} has the credential \
                     {attached:?}; name that one, or none",
                    short(named),
                    permit.origin()
                )));
            }
            (named, attached) => named.or(attached),
        };
        let Some(name) = name else { return Ok(None) };
        let credential = self.by_name.get(name).ok_or_else(|| self.unknown(name))?;
        Ok(Some(credential.clone()))
    }

    /// Takes all tokens, and all values that the settings hold, out of an answer or an error. None
    /// where it holds none.
    pub fn scrub(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.scrubbers().into_iter().fold(None, |clean, scrubber| {
            scrubber.scrub(clean.as_deref().unwrap_or(bytes)).or(clean)
        })
    }

    /// What finds them as they are now.
    pub fn scrubbers(&self) -> Vec<Arc<Scrubber>> {
        let grants = self.by_name.values().map(|one| &one.grant);
        [self.fixed.clone()].into_iter().chain(grants.flat_map(|grant| grant.scrubbers())).collect()
    }

    /// Whether there may be tokens later that there are not now.
    pub fn have_tokens(&self) -> bool {
        let has_tokens = |one: &Arc<Credential>| match &one.kind {
            Kind::Token(_) => true,
            Kind::Workspace => self.workspace.recipe().is_ok(),
            _ => false,
        };
        self.by_name.values().any(has_tokens)
    }

    /// What is wrong with any of them, for the connector's health.
    pub fn health_problems(&self) -> Vec<String> {
        let mut problems: Vec<_> =
            self.by_name.values().flat_map(|one| one.grant.problems()).collect();
        // Two names may stand for one grant.
        problems.sort();
        problems.dedup();
        problems
    }

    fn unknown(&self, name: &str) -> Error {
        let names: Vec<_> = self.by_name.keys().map(|name| format!("{name:?}")).collect();
        let there_are = match names.split_last() {
            Some((last, [])) => format!("the only one is {last}"),
            Some((last, others)) => format!("there are {} and {last}", others.join(", ")),
            None => "there are none".into(),
        };
        Error::Credential(format!("there is no credential {:?}; {there_are}", short(name)))
    }
}

impl Credential {
    /// Its name in the settings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it may be added to a request that was let through.
    pub fn check(&self, request: &Parsed, permit: &Permit, vault: &Vault) -> Result<(), Error> {
        if let Some(what) = conflict(request, &self.kind) {
            return Err(Error::InvalidRequest(format!(
                "the request has both a credential and {what}; leave one out"
            )));
        }
        permit.may_carry(&format!("the credential {:?}", self.name), &request.url)?;
        match &self.origins {
            Some(origins) if !origins.hold(&request.url, vault) => {
                Err(Error::Denied(self.refusal(origins, permit.origin(), vault)))
            }
            _ => Ok(()),
        }
    }

    /// Whether the secrets in fields of the configuration may go where it takes them: to the API, or
    /// to a token endpoint that the connector declares. One that the operator wrote is right.
    pub fn check_fields(
        &self,
        request: &Parsed,
        policy: &Policy,
        permit: &Permit,
        vault: &Vault,
    ) -> Result<(), Error> {
        // A user name or an id may be in a secret field, too.
        let fields = self.kind.values().into_iter().filter_map(Value::field);
        let mut keys = fields.filter(|key| vault.plain(key).is_none());
        if !matches!(self.kind, Kind::Token(_)) {
            return Ok(keys.try_for_each(|key| policy.may_carry(key, &request.url, permit))?);
        }
        let Some(token_url) = self.declared.as_ref().and(self.kind.token_url()) else {
            return Ok(());
        };
        let url = Url::parse(&token_url.get(&self.name, vault)?).map_err(|error| {
            Error::Credential(format!(
                "the credential {:?} has a token endpoint that is no URL: {error}",
                self.name
            ))
        })?;
        let permit = policy.check(&Method::POST, &url)?;
        Ok(keys.try_for_each(|key| policy.may_carry(key, &url, &permit))?)
    }

    /// A copy of the request with the credential in it, for one attempt. Waits for a token where
    /// none is good. Everything else must stand in the request already.
    pub async fn dress(
        &self,
        request: &Parsed,
        vault: &Vault,
        until: Instant,
    ) -> Result<Dressed, Error> {
        let mut request = request.clone();
        let recipe = match &self.kind {
            Kind::Token(token) => self.recipe(token, vault)?,
            Kind::Workspace => self.workspace.recipe()?,
            Kind::Aws(keys) => {
                self.sign(&mut request, keys, vault)?;
                return Ok(Dressed { request, token: None });
            }
            fixed => {
                add_fixed(&mut request, &self.name, fixed, vault)?;
                return Ok(Dressed { request, token: None });
            }
        };
        let bearer = self.grant.token(&recipe, until).await?;
        add_bearer(&mut request, &bearer)?;
        Ok(Dressed { request, token: Some((recipe, bearer)) })
    }

    /// After an answer with 401, or with 403: whether it is worth sending the request once more, and
    /// no more than once, because there is another token now. Never for what does not change.
    pub async fn refused(
        &self,
        dressed: &Dressed,
        status: u16,
        headers: &HeaderMap,
        until: Instant,
    ) -> Result<bool, Error> {
        let Some((recipe, bearer)) = &dressed.token else { return Ok(false) };
        if lacks_scope(headers) {
            self.grant.lacks_scope(bearer);
            return Ok(false);
        }
        if status != 401 {
            return Ok(false);
        }
        self.grant.replace(recipe, bearer, until).await
    }

    fn recipe(&self, token: &Token, vault: &Vault) -> Result<Arc<Recipe>, Error> {
        if let Some(recipe) = self.recipe.get() {
            return Ok(recipe.clone());
        }
        let recipe = Arc::new(Recipe::new(&self.name, token, vault)?);
        let url_field = self.kind.token_url().and_then(TokenUrl::field);
        let all_known = self.kind.values().iter().all(|value| value.known().is_some());
        let is_final = all_known && url_field.is_none();
        Ok(if is_final { self.recipe.get_or_init(|| recipe).clone() } else { recipe })
    }

    /// It is bound to other origins. The operator changes his own, and takes the place of another's.
    fn refusal(&self, origins: &Origins, origin: &str, vault: &Vault) -> String {
        let (name, key, line) = (&self.name, toml_key(&self.name), origins.line_with(origin));
        match &self.declared {
            None => format!(
                "the credential {name:?} is not bound to {origin}; allow it with {line} in \
                 [credentials.{key}] of connector.toml"
            ),
            Some(lines) => format!(
                "the connector declares the credential {name:?} for {}, and not for {origin}; allow \
                 it with your own of that name in connector.toml: [credentials.{key}] {lines} {line}",
                origins.shown(vault)
            ),
        }
    }

    fn sign(&self, request: &mut Parsed, keys: &AwsKeys, vault: &Vault) -> Result<(), Error> {
        let session =
            keys.session.as_ref().map(|value| value.get(&self.name, vault)).transpose()?;
        let signer = Signer {
            id: keys.id.get(&self.name, vault)?,
            secret: keys.secret.get(&self.name, vault)?,
            session,
            region: &keys.region,
            service: &keys.service,
        };
        let body = request.upload.is_none().then(|| request.body.clone());
        add_signature(request, body.as_deref(), &signer, (self.clock)())
    }
}

/// Whether a token or value of a credential was taken out of this text.
pub(super) fn has_mark(text: &str) -> bool {
    text.contains(TOKEN_MARK)
}

/// RFC 6750, 3.1: the token is good, and not for this.
fn lacks_scope(headers: &HeaderMap) -> bool {
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    challenges.filter_map(|value| value.to_str().ok()).any(|text| {
        let text = text.to_ascii_lowercase();
        text.contains("error=\"insufficient_scope\"") || text.contains("error=insufficient_scope")
    })
}

/// What finds the values that the settings hold. A Basic pair is looked for whole as well: of a short
/// password alone, nothing is.
fn scrubber<'a>(prepared: impl Iterator<Item = &'a Prepared>) -> Scrubber {
    let values = prepared.flat_map(|one| {
        let known = one.secrets().map(|text| zeroize::Zeroizing::new(text.to_owned()));
        let whole = match &one.kind {
            Kind::Basic { username, password } => username.known().zip(password.known()),
            _ => None,
        };
        known.chain(whole.map(|(username, password)| pair(username, password))).collect::<Vec<_>>()
    });
    let values: Vec<_> = values.collect();
    Scrubber::new(values.iter().map(|value| (value.as_str(), TOKEN_MARK)))
}

fn short(name: &str) -> String {
    name.chars().take(60).collect()
}
