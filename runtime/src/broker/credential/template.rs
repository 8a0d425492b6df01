//! Texts that begin with a field of the configuration: `{{BASE_URL}}`, `{{BASE_URL}}/token`.

use url::Url;

use super::super::request::Error;
use super::source::not_set;
use crate::vault::Vault;

/// Where tokens are asked for.
#[derive(Debug)]
pub(super) enum TokenUrl {
    Known(String),
    /// Below the URL in a plain field.
    Below {
        field: String,
        rest: String,
    },
}

impl TokenUrl {
    /// Reads what is written: a URL, or a field and a path.
    pub fn read(text: &str) -> Result<Self, String> {
        let Some((field, rest)) = leading_field(text) else {
            check_url(text)?;
            return Ok(Self::Known(text.to_owned()));
        };
        // Anything else could go on with the name of the host.
        if !(rest.is_empty() || rest.starts_with('/')) {
            return Err(format!("token-url goes on after {{{{{field}}}}} with no /"));
        }
        Ok(Self::Below { field: field.to_owned(), rest: rest.to_owned() })
    }

    /// The URL under this configuration.
    pub fn get(&self, credential: &str, vault: &Vault) -> Result<String, Error> {
        match self {
            Self::Known(url) => Ok(url.clone()),
            Self::Below { field, rest } => {
                let base = vault.plain(field).ok_or_else(|| not_set(credential, field))?;
                Ok(format!("{}{rest}", base.trim_end_matches('/')))
            }
        }
    }

    /// The field that it begins with.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Below { field, .. } => Some(field),
        }
    }
}

/// Whether a text is the URL of a token endpoint.
pub(super) fn check_url(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("token-url is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("token-url must begin with https://".into());
    }
    Ok(())
}

/// The field of an origin that is one: `{{BASE_URL}}`.
pub(super) fn whole_field(origin: &str) -> Option<&str> {
    leading_field(origin).filter(|(_, rest)| rest.is_empty()).map(|(field, _)| field)
}

/// The origin of the URL in a plain field. None where there is none.
pub(super) fn origin_in(field: &str, vault: &Vault) -> Option<url::Origin> {
    let origin = Url::parse(vault.plain(field)?).ok()?.origin();
    origin.is_tuple().then_some(origin)
}

fn leading_field(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("{{")?.split_once("}}").filter(|(field, _)| !field.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::Placeholders;

    fn vault(base: &str) -> Vault {
        let values = [("BASE", base), ("KEY", "https://a.example")];
        let values = values.map(|(key, value)| (key.to_owned(), value.into())).into();
        Vault::new(values, &Placeholders::new(["KEY".to_owned()]), &Default::default())
    }

    #[test]
    fn a_token_url_may_be_below_the_url_in_a_plain_field() {
        for (text, base, expected) in [
            ("https://id.example/token", "", "https://id.example/token"),
            ("{{BASE}}/token", "https://a.example/", "https://a.example/token"),
            ("{{BASE}}/token", "https://a.example/v1", "https://a.example/v1/token"),
            ("{{BASE}}", "https://a.example", "https://a.example"),
            ("{{KEY}}/token", "", "\"api\" needs the field KEY"),
            ("{{UNSET}}/token", "", "\"api\" needs the field UNSET"),
            ("{{BASE}}.evil.example/token", "", "goes on after {{BASE}} with no /"),
            ("{{}}/token", "", "token-url is no URL"),
            ("id.example", "", "token-url is no URL"),
            ("ftp://id.example", "", "must begin with https://"),
        ] {
            let url = TokenUrl::read(text);
            let told =
                url.and_then(|url| url.get("api", &vault(base)).map_err(|error| error.to_string()));
            let told = told.unwrap_or_else(|error| error);
            assert!(told.contains(expected), "{text}: {told}");
        }
    }

    #[test]
    fn an_origin_is_that_of_the_url_in_a_plain_field() {
        assert_eq!(whole_field("{{BASE}}"), Some("BASE"));
        assert_eq!((whole_field("{{BASE}}/x"), whole_field("https://a.example")), (None, None));
        let told =
            |base, field| origin_in(field, &vault(base)).map(|origin| origin.ascii_serialization());
        assert_eq!(told("http://A.example:81/x?y", "BASE").as_deref(), Some("http://a.example:81"));
        for (base, field) in [("a.example", "BASE"), ("data:x", "BASE"), ("", "KEY"), ("", "X")] {
            assert_eq!(told(base, field), None, "{field}: {base}");
        }
    }
}
