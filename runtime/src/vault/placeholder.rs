//! What a guest holds in place of a secret.

use std::collections::BTreeMap;

/// Recognisable to people and to us. Lower case, because URL parsers lower what they take for a
/// host, and none of its characters is ever escaped in a URL, a form, JSON or a header.
const PREFIX: &str = "aloma-sealed-";

/// The placeholders of one connector by field key. They stay the same as long as it runs, whatever
/// its configuration, so that a guest may keep them. Elsewhere they are worth nothing.
#[derive(Clone, Debug, Default)]
pub struct Placeholders(BTreeMap<String, String>);

impl Placeholders {
    /// New ones for these fields, which nobody can guess.
    pub fn new(keys: impl IntoIterator<Item = String>) -> Self {
        let fresh = || format!("{PREFIX}{:032x}", rand::random::<u128>());
        Self(keys.into_iter().map(|key| (key, fresh())).collect())
    }

    pub(super) fn of(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

#[cfg(test)]
pub(super) fn is_one(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_its_own_and_needs_no_escape() {
        let one = Placeholders::new(["A", "B"].map(str::to_owned));
        let other = Placeholders::new(["A".to_owned()]);
        let all = [one.of("A"), one.of("B"), other.of("A")].map(|found| found.expect("a field"));
        assert!(all[0] != all[1] && all[0] != all[2]);
        for text in all {
            assert!(is_one(text), "{text}");
            let url = url::Url::parse(&format!("http://{text}/")).expect("a URL");
            assert_eq!(url.host_str(), Some(text));
            let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            assert_eq!(form, text);
        }
    }
}
