//! What a connector asks for, so that two versions can be compared, and so that a version that asks
//! for more than the operator has seen does not start.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::broker::covers;
use crate::connector::{plain_fields, secret_fields};
use crate::manifest::{Credential, Manifest};
use crate::printable::printable;

/// All that a connector asks for. Asking grants nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asks {
    /// Origin patterns, or `{{KEY}}` for the origin in a configuration field.
    pub origins: Vec<String>,
    /// Where people are sent to authorize it, and where it gets its tokens.
    pub oauth_urls: Vec<String>,
    /// The words of the OAuth scope.
    pub oauth_scopes: Vec<String>,
    /// The configuration fields that hold secrets.
    pub secrets: Vec<String>,
    /// The configuration fields that it reads as they are.
    pub plain_fields: Vec<String>,
    /// The credentials that it declares, each once for every origin that it may go to.
    pub credentials: Vec<String>,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
}

/// `[accepted]`: what the operator has seen that a version asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Accepted {
    /// The version that was looked at.
    pub version: String,
    /// The SHA-256 of its component. For people: a rebuild that asks for no more is let through.
    pub digest: String,
    #[serde(default)]
    origins: Vec<String>,
    #[serde(default)]
    oauth_urls: Vec<String>,
    #[serde(default)]
    oauth_scopes: Vec<String>,
    #[serde(default)]
    secrets: Vec<String>,
    /// None in a table that was written when only secret fields were. Nobody looked at these then, so
    /// none of them is accepted.
    plain_fields: Option<Vec<String>>,
    #[serde(default)]
    credentials: Vec<String>,
    #[serde(default)]
    imports: Vec<String>,
}

impl Asks {
    /// What a connector with this manifest and these imports asks for.
    pub fn of(manifest: &Manifest, imports: &[String]) -> Self {
        let mut asks = Self {
            origins: manifest.asks.iter().map(|ask| ask.origin.clone()).collect(),
            secrets: secret_fields(manifest).collect(),
            plain_fields: plain_fields(manifest).collect(),
            credentials: manifest.credentials.iter().flat_map(credential_at_origins).collect(),
            imports: imports.to_vec(),
            ..Self::default()
        };
        if let Some(oauth) = &manifest.oauth {
            asks.oauth_urls = vec![oauth.authorization_url.clone(), oauth.token_url.clone()];
            let scope = oauth.scope.as_deref().unwrap_or_default();
            asks.oauth_scopes = scope.split_whitespace().map(str::to_owned).collect();
        }
        asks
    }

    /// What it asks for beyond the other.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        Self {
            origins: missing(&self.origins, &other.origins, |asked, known| {
                asked == known || covers(known, asked)
            }),
            oauth_urls: missing(&self.oauth_urls, &other.oauth_urls, |asked, known| asked == known),
            oauth_scopes: missing_words(&self.oauth_scopes, &other.oauth_scopes),
            secrets: missing(&self.secrets, &other.secrets, |asked, known| asked == known),
            plain_fields: missing(&self.plain_fields, &other.plain_fields, |a, known| a == known),
            credentials: missing(&self.credentials, &other.credentials, covers_credential),
            // A newer toolchain names newer versions of the same interfaces, which can do no more
            // here.
            imports: missing(&self.imports, &other.imports, |asked, known| {
                interface(asked) == interface(known)
            }),
        }
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.lists().iter().all(|(_, list)| list.is_empty())
    }

    /// A line for each thing: `origin https://api.example.com`.
    pub fn lines(&self) -> Vec<String> {
        let line = |what: &str, one: &String| printable(&format!("{what} {one}"));
        let lists = self.lists().into_iter();
        lists.flat_map(|(what, list)| list.iter().map(move |one| line(what, one))).collect()
    }

    fn lists(&self) -> [(&'static str, &[String]); 7] {
        [
            ("origin", &self.origins),
            ("OAuth URL", &self.oauth_urls),
            ("OAuth scope", &self.oauth_scopes),
            ("secret", &self.secrets),
            ("plain field", &self.plain_fields),
            ("credential", &self.credentials),
            ("import", &self.imports),
        ]
    }
}

fn missing(asked: &[String], known: &[String], is: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let is_new = |asked: &&String| !known.iter().any(|known| is(asked, known));
    let mut new: Vec<String> = Vec::new();
    for asked in asked.iter().filter(is_new) {
        if !new.contains(asked) {
            new.push(asked.clone());
        }
    }
    new
}

/// The same for what is known only by itself, of which a settings file may hold any number.
fn missing_words(asked: &[String], known: &[String]) -> Vec<String> {
    let mut seen: HashSet<&String> = known.iter().collect();
    asked.iter().filter(|asked| seen.insert(asked)).cloned().collect()
}

/// What separates a credential from the origin that it may go to. An origin does not hold it.
const FOR: &str = " for ";

fn credential_at_origins(credential: &Credential) -> impl Iterator<Item = String> {
    let Credential { name, kind, origins, .. } = credential;
    origins.iter().map(move |origin| format!("{name} ({kind}){FOR}{origin}"))
}

/// Whether one is the same credential as another that may go to the same origin, or further.
fn covers_credential(asked: &str, known: &str) -> bool {
    let (Some(asked), Some(known)) = (asked.rsplit_once(FOR), known.rsplit_once(FOR)) else {
        return asked == known;
    };
    asked.0 == known.0 && (asked.1 == known.1 || covers(known.1, asked.1))
}

/// An interface without its version.
fn interface(import: &str) -> &str {
    import.split('@').next().unwrap_or(import)
}

impl Accepted {
    /// All that a version asks for.
    pub fn of(version: &str, digest: String, asks: Asks) -> Self {
        let Asks { origins, oauth_urls, oauth_scopes, secrets, plain_fields, credentials, imports } =
            asks;
        Self {
            version: version.to_owned(),
            digest,
            origins,
            oauth_urls,
            oauth_scopes,
            secrets,
            plain_fields: Some(plain_fields),
            credentials,
            imports,
        }
    }

    /// What was accepted.
    pub fn asks(&self) -> Asks {
        let own = self.clone();
        Asks {
            origins: own.origins,
            oauth_urls: own.oauth_urls,
            oauth_scopes: own.oauth_scopes,
            secrets: own.secrets,
            plain_fields: own.plain_fields.unwrap_or_default(),
            credentials: own.credentials,
            imports: own.imports,
        }
    }

    /// Refuses a connector that asks for more.
    ///
    /// # Errors
    /// A text with what is more, how to look at it, and how to accept it.
    pub fn check(
        &self,
        manifest: &Manifest,
        imports: &[String],
        component: &Path,
        settings: &Path,
    ) -> anyhow::Result<()> {
        let more = Asks::of(manifest, imports).beyond(&self.asks());
        if more.is_empty() {
            return Ok(());
        }
        let (component, settings) = (component.display(), settings.display());
        let mut text = printable(&format!(
            "{} {} asks for more than version {}, which was accepted:",
            manifest.name, manifest.version, self.version
        ));
        for line in more.lines() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  {line}");
        }
        if self.plain_fields.is_none() && !more.plain_fields.is_empty() {
            text += "\n[accepted] was written when it did not hold plain fields, whose values the connector \
                     reads as they are; accept it again if it may read these";
        }
        bail!(
            "{text}\nlook at it with `aloma-wasm policy diff {settings} {component}`, accept it with \
             `aloma-wasm policy accept {settings} {component}`"
        )
    }

    /// Puts it into the text of a settings file, in place of the table that is there. Everything else
    /// stays as it is, byte for byte.
    ///
    /// # Errors
    /// When the table that is there is not written as one.
    pub fn put_into(&self, text: &str) -> anyhow::Result<String> {
        let table = self.table(if text.contains("\r\n") { "\r\n" } else { "\n" });
        let is_right = |new: &String| self.is_all_that_changed(text, new);
        // A line in a text of several lines may look like the header; then what comes out of it is
        // another file.
        let replaced = headers(text).map(|start| {
            let end = end_of_table(text, start);
            format!("{}{table}{}", &text[..start], &text[end..])
        });
        let gap = match text {
            "" => "",
            text if text.ends_with('\n') => "\n",
            _ => "\n\n",
        };
        let appended = format!("{text}{gap}{table}");
        match replaced.chain([appended]).find(is_right) {
            Some(new) => Ok(new),
            None => bail!("its `accepted` is not written as a table [accepted]; take it out first"),
        }
    }

    fn is_all_that_changed(&self, old: &str, new: &str) -> bool {
        let without = |text: &str| {
            let mut table: toml::Table = toml::from_str(text).ok()?;
            let accepted = table.remove("accepted");
            Some((table, accepted))
        };
        let (Some((old, _)), Some((new, accepted))) = (without(old), without(new)) else {
            return false;
        };
        let accepted = accepted.and_then(|table| table.try_into::<Self>().ok());
        old == new && accepted.as_ref() == Some(self)
    }

    /// The table as TOML, with these line ends.
    pub fn table(&self, newline: &str) -> String {
        let text = |text: &str| toml::Value::from(text).to_string();
        let asks = self.asks();
        let mut lines = vec![
            "[accepted]".to_owned(),
            format!("version = {}", text(&self.version)),
            format!("digest = {}", text(&self.digest)),
        ];
        for (key, list) in [
            ("origins", &asks.origins),
            ("oauth-urls", &asks.oauth_urls),
            ("oauth-scopes", &asks.oauth_scopes),
            ("secrets", &asks.secrets),
            ("plain-fields", &asks.plain_fields),
            ("credentials", &asks.credentials),
            ("imports", &asks.imports),
        ] {
            match list.as_slice() {
                [] => lines.push(format!("{key} = []")),
                list => {
                    lines.push(format!("{key} = ["));
                    lines.extend(list.iter().map(|one| format!("    {},", text(one))));
                    lines.push("]".to_owned());
                }
            }
        }
        lines.push(String::new());
        lines.join(newline)
    }
}

/// Where lines begin that read `[accepted]`.
fn headers(text: &str) -> impl Iterator<Item = usize> {
    lines(text).filter(|(_, line)| header(line) == Some("accepted")).map(|(start, _)| start)
}

/// Where the table ends that begins there: after its last line that is neither empty nor a comment.
fn end_of_table(text: &str, start: usize) -> usize {
    let after = lines(text).skip_while(|(at, _)| *at <= start);
    let own = after.take_while(|(_, line)| header(line).is_none());
    let says = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let last = own.filter(|(_, line)| says(line)).last();
    let (at, line) = last
        .unwrap_or_else(|| (start, text[start..].split_inclusive('\n').next().unwrap_or_default()));
    at + line.len()
}

/// The lines with their line ends, and where each begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line))
    })
}

/// The name in a table's header.
fn header(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('[')?;
    Some(rest.split(']').next().unwrap_or(rest).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn accepted() -> Accepted {
        let asks = Asks {
            origins: list(&["https://a.example", "{{BASE_URL}}"]),
            secrets: list(&["API_KEY"]),
            plain_fields: list(&["BASE_URL"]),
            ..Asks::default()
        };
        Accepted::of("1.0.0", "sha256:00".into(), asks)
    }

    const TABLE: &str = r#"[accepted]
version = "1.0.0"
digest = "sha256:00"
origins = [
    "https://a.example",
    "{{BASE_URL}}",
]
oauth-urls = []
oauth-scopes = []
secrets = [
    "API_KEY",
]
plain-fields = [
    "BASE_URL",
]
credentials = []
imports = []
"#;

    #[test]
    fn what_is_more_is_what_the_other_does_not_cover() {
        let old = Asks {
            origins: list(&["https://*.a.example", "https://b.example", "{{URL}}"]),
            oauth_urls: list(&["https://id.example/authorize", "https://id.example/token"]),
            oauth_scopes: list(&["read"]),
            secrets: list(&["KEY", "PASSWORD"]),
            plain_fields: list(&["URL", "REGION"]),
            credentials: list(&[
                "api (bearer of KEY) for https://*.a.example",
                "api (bearer of KEY) for {{URL}}",
            ]),
            imports: list(&["aloma:connector/http@0.1.0", "wasi:io/streams@0.2.0"]),
        };
        let new = Asks {
            origins: list(&["https://x.a.example", "https://a.example", "{{URL}}", "{{OTHER}}"]),
            oauth_urls: list(&["https://id.example/authorize", "https://id.example/v2/token"]),
            oauth_scopes: list(&["read", "write", "write"]),
            secrets: list(&["TOKEN", "KEY"]),
            plain_fields: list(&["URL", "PASSWORD"]),
            credentials: list(&[
                "api (bearer of KEY) for https://x.a.example",
                "api (bearer of KEY) for https://b.example",
                "api (bearer of TOKEN) for {{URL}}",
            ]),
            imports: list(&["wasi:io/streams@0.2.6", "wasi:http/outgoing-handler@0.2.6"]),
        };
        let more = [
            "origin https://a.example",
            "origin {{OTHER}}",
            "OAuth URL https://id.example/v2/token",
            "OAuth scope write",
            "secret TOKEN",
            "plain field PASSWORD",
            "credential api (bearer of KEY) for https://b.example",
            "credential api (bearer of TOKEN) for {{URL}}",
            "import wasi:http/outgoing-handler@0.2.6",
        ];
        let less = [
            "origin https://*.a.example",
            "origin https://b.example",
            "OAuth URL https://id.example/token",
            "secret PASSWORD",
            "plain field REGION",
            "credential api (bearer of KEY) for https://*.a.example",
            "credential api (bearer of KEY) for {{URL}}",
            "import aloma:connector/http@0.1.0",
        ];
        assert_eq!(new.beyond(&old).lines(), more);
        assert_eq!(old.beyond(&new).lines(), less);
        assert!(new.beyond(&new).is_empty());
    }

    /// A version that declared a secret field plain once asked for nothing more, and read the secret.
    #[test]
    fn a_secret_that_becomes_plain_is_more() {
        let field = |plain: bool| serde_json::json!({"key": "API_KEY", "name": "key", "type": "line", "optional": true, "plain": plain});
        let manifest = |plain: bool| -> Manifest {
            let text = serde_json::json!({
                "name": "test", "version": "1", "asks": [], "actions": [], "fields": [field(plain)],
            });
            serde_json::from_value(text).expect("a manifest")
        };
        let check = |accepted: &Accepted, plain: bool| {
            let checked =
                accepted.check(&manifest(plain), &[], Path::new("x.wasm"), Path::new("x.toml"));
            checked.map_err(|error| error.to_string())
        };
        let accepted = Accepted::of("1", "sha256:00".into(), Asks::of(&manifest(false), &[]));
        check(&accepted, false).expect("the same");
        let told = check(&accepted, true).expect_err("it would read the secret");
        assert!(told.contains("\n  plain field API_KEY\n"), "{told}");
        assert!(!told.contains("was written when"), "{told}");

        // As it was written before it held plain fields.
        let text = "version = '1'\ndigest = ''\nsecrets = ['API_KEY']\n";
        let older: Accepted = toml::from_str(text).expect("a table");
        check(&older, false).expect("it has no plain field");
        let told = check(&older, true).expect_err("nobody has looked at plain fields");
        for part in ["plain field API_KEY", "was written when", "policy accept x.toml x.wasm"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn the_table_is_put_in_and_nothing_else_changes() {
        let old = "[accepted]\nversion = \"0\"\ndigest = \"\"\norigins = [\n  \"https://x\",\n]\n";
        let trap = "note = '''\n[accepted]\n'''\n";
        for (before, after) in [
            ("", ""),
            ("id = \"x\" # kept\n\n", ""),
            ("id = 'x'\n", "\n# about limits\n[limits]\nmemory-mib = 1\n"),
            ("id = 'x'\n", "[[grant]]\norigin = 'https://a.example'\n"),
            (trap, "\n# the end"),
        ] {
            let new = accepted().put_into(&format!("{before}{old}{after}")).expect(before);
            assert_eq!(new, format!("{before}{TABLE}{after}"));
            assert_eq!(accepted().put_into(&new).expect("again"), new);
        }
        for (text, gap) in [("id = 'x'\n", "\n"), ("id = 'x'", "\n\n"), ("", ""), (trap, "\n")] {
            let new = accepted().put_into(text).expect(text);
            assert_eq!(new, format!("{text}{gap}{TABLE}"));
        }
        let windows =
            accepted().put_into("id = 'x'\r\n[accepted]\r\nversion = 'x'\r\n").expect("a file");
        assert_eq!(windows, format!("id = 'x'\n{TABLE}").replace('\n', "\r\n"));
    }

    #[test]
    fn a_table_that_is_written_otherwise_is_left_alone() {
        for text in ["accepted = { version = '1', digest = '' }\n", "accepted.version = '1'\n"] {
            let error = accepted().put_into(text).expect_err(text).to_string();
            assert!(error.contains("take it out first"), "{error}");
        }
    }
}
