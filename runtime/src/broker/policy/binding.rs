//! Where a secret may go.
//!
//! To every origin that was granted, but never over plain http to a public one. Where the operator
//! bound it, to those origins alone.

use std::collections::BTreeMap;

use url::Url;

use super::origin::Origin;
use super::{Permit, Policy, PolicyError, Refusal, read_origin, refusal};

/// The origins that each bound field goes to, by its key.
#[derive(Clone, Debug, Default)]
pub(super) struct Bindings(BTreeMap<String, Vec<Origin>>);

const BIND: &str = "--bind";

impl Policy {
    /// Binds secrets to origins, as pairs of a field's key and an origin. Binding grants nothing:
    /// the origin must be granted as well.
    pub fn bind(mut self, bindings: &[(String, String)]) -> Result<Self, PolicyError> {
        for (key, origin) in bindings {
            let origin = read_origin(BIND, origin).map_err(|error| PolicyError {
                given: format!("{key}={}", error.given),
                example: format!("{key}={}", error.example),
                ..error
            })?;
            self.bindings.0.entry(key.clone()).or_default().push(origin);
        }
        Ok(self)
    }

    /// The keys of the bound fields.
    pub fn bound_fields(&self) -> impl Iterator<Item = &str> {
        self.bindings.0.keys().map(String::as_str)
    }

    /// Whether the secret of that field may go to a URL that was let through.
    pub(in crate::broker) fn may_carry(
        &self,
        key: &str,
        url: &Url,
        permit: &Permit,
    ) -> Result<(), Refusal> {
        permit.may_carry(&format!("the secret {key}"), url)?;
        let Some(bound) = self.bindings.0.get(key) else { return Ok(()) };
        let is_bound =
            |origin: &Origin| url.host().is_some_and(|host| origin.matches(url, &host.to_owned()));
        if bound.iter().any(is_bound) {
            return Ok(());
        }
        let origin = permit.origin();
        let bound: Vec<_> = bound.iter().map(ToString::to_string).collect();
        let list = refusal::list(bound.iter().map(String::as_str).chain([origin]));
        Err(Refusal(format!(
            "the secret {key} is not bound to {origin}; allow it with {BIND} {key}={origin}, or in \
             connector.toml: [secrets.{}] bind = {list}",
            refusal::key(key)
        )))
    }

    /// The origins that each bound field goes to, by its key.
    pub fn bound(&self) -> impl Iterator<Item = (&str, Vec<String>)> {
        let texts = |origins: &[Origin]| origins.iter().map(ToString::to_string).collect();
        self.bindings.0.iter().map(move |(key, origins)| (key.as_str(), texts(origins)))
    }
}

impl Permit {
    /// Whether something that is secret, named like `the credential users-api`, may travel there: over
    /// TLS, or to an origin that the operator granted as private; and never to what is not granted.
    pub(in crate::broker) fn may_carry(&self, what: &str, url: &Url) -> Result<(), Refusal> {
        if let Some(refusal) = self.would_refuse() {
            return Err(Refusal(format!(
                "{what} is not sent where nothing is granted, also while the policy only reports: \
                 {refusal}"
            )));
        }
        if url.scheme() == "https" || self.is_private() {
            return Ok(());
        }
        let origin = self.origin();
        Err(Refusal(format!(
            "{what} is not sent to {origin} over plain http, where anyone can read it; use https, \
             or, where that is a host of your own network, {}",
            refusal::grant(origin, true)
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bindings: &[(&str, &str)], key: &str, url: &str) -> Option<String> {
        let grants = ["https://*", "https://*:444", "http://*"].map(str::to_owned);
        let private = ["http://127.0.0.1:81".to_owned()];
        let bindings: Vec<_> = bindings
            .iter()
            .map(|(key, origin)| ((*key).to_owned(), (*origin).to_owned()))
            .collect();
        let policy = Policy::parse(&grants, &private).and_then(|policy| policy.bind(&bindings));
        let (policy, url) = (policy.expect("grants"), Url::parse(url).expect(url));
        let permit = policy.check(&http::Method::GET, &url).expect("granted");
        policy.may_carry(key, &url, &permit).err().map(|refusal| refusal.to_string())
    }

    #[test]
    fn a_secret_goes_to_every_granted_origin_but_over_plain_http_to_a_public_one() {
        for url in ["https://a.example/x", "http://127.0.0.1:81/"] {
            assert_eq!(refusal(&[], "KEY", url), None, "{url}");
        }
        let text = "the secret KEY is not sent to http://a.example over plain http, where anyone \
            can read it; use https, or, where that is a host of your own network, \
            --allow-private http://a.example, or in connector.toml: [[grant]] \
            origin = \"http://a.example\" private = true";
        assert_eq!(refusal(&[], "KEY", "http://a.example/x").as_deref(), Some(text));
        let bound = [("KEY", "http://a.example")];
        assert_eq!(refusal(&bound, "KEY", "http://a.example/x").as_deref(), Some(text));
    }

    #[test]
    fn a_bound_secret_goes_nowhere_else() {
        let bound = [("KEY", "https://a.example"), ("KEY", "https://*.b.example")];
        for url in ["https://a.example/x", "https://x.b.example/"] {
            assert_eq!(refusal(&bound, "KEY", url), None, "{url}");
        }
        for origin in ["https://b.example", "https://a.example:444", "http://127.0.0.1:81"] {
            let text = format!(
                "the secret KEY is not bound to {origin}; allow it with --bind KEY={origin}, or in \
                 connector.toml: [secrets.KEY] bind = [\"https://a.example\", \
                 \"https://*.b.example\", \"{origin}\"]"
            );
            assert_eq!(refusal(&bound, "KEY", &format!("{origin}/x?y")), Some(text));
            assert_eq!(refusal(&bound, "OTHER", origin), None);
        }
    }

    #[test]
    fn a_binding_that_is_no_origin_is_explained() {
        let bindings = [("KEY".to_owned(), "a.example/x".to_owned())];
        let error = Policy::default().bind(&bindings).expect_err("no origin").to_string();
        let text = "--bind \"KEY=a.example/x\" is no origin: it does not begin with https:// or \
            http://; write it like --bind KEY=https://a.example";
        assert_eq!(error, text);
    }
}
