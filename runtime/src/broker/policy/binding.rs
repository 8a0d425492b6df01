//! Where a secret may go.
//!
//! To every origin that was granted, but never over plain http to a public one. Where the operator
//! bound it, to those origins alone.

use std::collections::BTreeMap;

use url::Url;

use super::{ALLOW_PRIVATE, Grant, Permit, Policy, PolicyError, Refusal};

/// The origins that each bound field goes to, by its key.
#[derive(Clone, Debug, Default)]
pub(super) struct Bindings(BTreeMap<String, Vec<Grant>>);

const BIND: &str = "--bind";

impl Policy {
    /// Binds secrets to origins, as pairs of a field's key and an origin. Binding grants nothing:
    /// the origin must be granted as well.
    pub fn bind(mut self, bindings: &[(String, String)]) -> Result<Self, PolicyError> {
        for (key, origin) in bindings {
            let grant = Grant::parse(BIND, origin).map_err(|error| PolicyError {
                given: format!("{key}={}", error.given),
                example: format!("{key}={}", error.example),
                ..error
            })?;
            self.bindings.0.entry(key.clone()).or_default().push(grant);
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
        let origin = permit.origin();
        if !permit.carries_secrets(url) {
            return Err(Refusal(format!(
                "the secret {key} is not sent to {origin} over plain http, where anyone can read \
                 it; use https, or, where that is a host of your own network, {ALLOW_PRIVATE} {origin}"
            )));
        }
        let bound = self.bindings.0.get(key);
        let is_bound =
            |grant: &Grant| url.host().is_some_and(|host| grant.matches(url, &host.to_owned()));
        if bound.is_none_or(|grants| grants.iter().any(is_bound)) {
            return Ok(());
        }
        Err(Refusal(format!(
            "the secret {key} is not bound to {origin}; allow it with {BIND} {key}={origin}"
        )))
    }
}

impl Permit {
    /// Whether secrets may travel there: over TLS, or to an origin that the operator granted as
    /// private.
    pub(in crate::broker) fn carries_secrets(&self, url: &Url) -> bool {
        url.scheme() == "https" || self.is_private()
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
        let permit = policy.check(&url).expect("granted");
        policy.may_carry(key, &url, &permit).err().map(|refusal| refusal.to_string())
    }

    #[test]
    fn a_secret_goes_to_every_granted_origin_but_over_plain_http_to_a_public_one() {
        for url in ["https://a.example/x", "http://127.0.0.1:81/"] {
            assert_eq!(refusal(&[], "KEY", url), None, "{url}");
        }
        let text = "the secret KEY is not sent to http://a.example over plain http, where anyone \
            can read it; use https, or, where that is a host of your own network, \
            --allow-private http://a.example";
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
                "the secret KEY is not bound to {origin}; allow it with --bind KEY={origin}"
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
