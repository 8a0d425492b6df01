//! Grants that would let through what a connector was seen to request.
//!
//! A recording shows what a connector did, and not what it should do: the outcome is for somebody to
//! read.

mod prefixes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, Read as _};
use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use url::{Host, Url};

use self::prefixes::Prefixes;
use crate::broker::is_special;
use crate::printable::printable;

/// Bytes of one line of a recording. A record has one or two kB.
const LINE_BYTES: u64 = 1 << 20;

/// Origins in a recording. More is a connector that makes them up.
const ORIGINS: usize = 1000;

/// The grants for what a recording holds.
#[derive(Debug, Default)]
pub struct Suggestion {
    connectors: BTreeSet<String>,
    origins: BTreeMap<String, Wanted>,
}

/// What was requested of one origin.
#[derive(Debug, Default)]
struct Wanted {
    methods: BTreeSet<String>,
    paths: Prefixes,
    redirects: usize,
    requests: usize,
    reported: usize,
    refused: usize,
    kind: Kind,
}

/// What kind of address an origin was seen at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    #[default]
    Public,
    Private,
    Metadata,
}

/// A line of a recording: what is needed of a request's record, in its older and its newer form.
#[derive(Deserialize)]
struct Line {
    kind: Option<String>,
    connector: Option<String>,
    method: Option<String>,
    url: Option<String>,
    decision: Option<Decision>,
    status: Option<u16>,
    error: Option<String>,
    /// How often it was sent, or what became of each time.
    #[serde(default)]
    attempts: Value,
    #[serde(default)]
    hops: Vec<String>,
}

/// What the policy said. One key is there; none of them in a recording of another version.
#[derive(Deserialize)]
struct Decision {
    granted: Option<String>,
    reported: Option<String>,
    refused: Option<String>,
}

impl Suggestion {
    /// Reads a recording: a JSON object a line. Of several connectors only one can be meant.
    ///
    /// # Errors
    /// When a line is no record; names its number.
    pub fn read(mut recording: impl BufRead, only: Option<&str>) -> anyhow::Result<Self> {
        let mut suggestion = Self::default();
        for number in 1.. {
            let mut text = Vec::new();
            let read = (&mut recording).take(LINE_BYTES).read_until(b'\n', &mut text);
            if read.with_context(|| format!("cannot read line {number}"))? == 0 {
                break;
            }
            let line = read_line(&text).with_context(|| format!("line {number}"))?;
            if let Some(line) = line {
                suggestion.add(&line, only).with_context(|| format!("line {number}"))?;
            }
        }
        if only.is_none() && suggestion.connectors.len() > 1 {
            let ids: Vec<_> = suggestion.connectors.into_iter().collect();
            bail!(
                "it has requests of {}; a settings file is for one connector: choose it with \
                 --connector ID",
                printable(&ids.join(", "))
            );
        }
        Ok(suggestion)
    }

    fn add(&mut self, line: &Line, only: Option<&str>) -> anyhow::Result<()> {
        let (Some(method), Some(url)) = (&line.method, &line.url) else {
            bail!("it has no `method` and `url`; a recording is what `--record FILE` writes")
        };
        let connector = line.connector.clone().unwrap_or_default();
        if only.is_some_and(|only| only != connector) {
            return Ok(());
        }
        self.connectors.insert(connector);
        let Some(verdict) = verdict(line) else { return Ok(()) };
        let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_alphabetic());
        ensure!(is_method, "{method:?} is no method");
        self.want(url, method, line, &verdict)?;
        for hop in &line.hops {
            self.want(hop, method, line, &verdict)?;
            // Most redirects turn a POST into a GET, and the record does not tell.
            self.want(hop, "GET", line, &verdict)?;
        }
        Ok(())
    }

    fn want(
        &mut self,
        url: &str,
        method: &str,
        line: &Line,
        verdict: &Verdict<'_>,
    ) -> anyhow::Result<()> {
        // What could not be read left no URL behind, and was sent nowhere.
        let Ok(url) = Url::parse(url) else { return Ok(()) };
        if !matches!(url.scheme(), "http" | "https") {
            return Ok(());
        }
        let origin = url.origin().ascii_serialization();
        ensure!(
            self.origins.len() < ORIGINS || self.origins.contains_key(&origin),
            "it has requests to more than {ORIGINS} origins; grant those that are meant by hand"
        );
        let wanted = self.origins.entry(origin).or_default();
        wanted.methods.insert(method.to_ascii_uppercase());
        wanted.paths.add(&url);
        wanted.redirects = wanted.redirects.max(line.hops.len());
        wanted.requests += 1;
        wanted.reported += usize::from(matches!(verdict, Verdict::Reported(_)));
        wanted.refused += usize::from(matches!(verdict, Verdict::Refused(_)));
        wanted.kind = wanted.kind.max(kind(&url, line, verdict));
        Ok(())
    }

    /// The settings file.
    pub fn to_toml(&self) -> String {
        let requests: usize = self.origins.values().map(|wanted| wanted.requests).sum();
        let who = self.connectors.iter().next().filter(|id| !id.is_empty());
        let who = who.map(|id| format!(" of {}", printable(id))).unwrap_or_default();
        let mut out = format!(
            "# Suggested from {}{who}. It shows what the connector did, not what it should do: read \
             it before you use it.\n# component = \"connector.wasm\"\n",
            count(requests, "request")
        );
        for (origin, wanted) in &self.origins {
            let _ = writeln!(out, "\n{}", wanted.table(origin));
        }
        out
    }
}

fn read_line(text: &[u8]) -> anyhow::Result<Option<Line>> {
    ensure!((text.len() as u64) < LINE_BYTES, "it is longer than {} kB", LINE_BYTES >> 10);
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    let line: Line = serde_json::from_slice(text)
        .context("it is no record; a recording is what `--record FILE` writes")?;
    let is_request = line.kind.as_deref().is_none_or(|kind| kind == "request");
    Ok(is_request.then_some(line))
}

/// What was said of a request that a grant is for.
enum Verdict<'a> {
    Granted(&'a str),
    Reported(&'a str),
    Refused(&'a str),
}

/// None where no grant is wanted for it: it was refused for another reason, or never sent.
fn verdict(line: &Line) -> Option<Verdict<'_>> {
    if let Some(Decision { granted, reported, refused }) = &line.decision {
        if let Some(by) = granted {
            return Some(Verdict::Granted(by));
        }
        if let Some(text) = reported {
            return Some(Verdict::Reported(text));
        }
        if let Some(text) = refused {
            return lacks_grant(text).then_some(Verdict::Refused(text));
        }
    }
    let refusal = line.error.as_deref().filter(|text| lacks_grant(text));
    let sent = line.status.is_some() || line.attempts.as_u64().is_some_and(|sent| sent > 0);
    refusal.map(Verdict::Refused).or(sent.then_some(Verdict::Granted("")))
}

/// Whether a refusal is one that a grant would change. A secret that is not bound is none; one that a
/// report did not let go is. A URL holds no spaces, so no guest can write these words.
fn lacks_grant(text: &str) -> bool {
    text.contains(" is not granted; ") || text.contains(" allow it with --allow")
}

fn kind(url: &Url, line: &Line, verdict: &Verdict<'_>) -> Kind {
    let (Verdict::Granted(text) | Verdict::Reported(text) | Verdict::Refused(text)) = verdict;
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => is_special(address.into()),
        Some(Host::Ipv6(address)) => is_special(address.into()),
        None => false,
    };
    if text.contains("cloud metadata address") {
        Kind::Metadata
    } else if is_local || text.contains("--allow-private ") || dialled_privately(&line.attempts) {
        Kind::Private
    } else {
        Kind::Public
    }
}

/// Whether an attempt went to an address that is not public. A proxy's address says nothing.
fn dialled_privately(attempts: &Value) -> bool {
    attempts.as_array().into_iter().flatten().any(|attempt| {
        let connection = &attempt["connection"];
        let address = connection["address"].as_str().and_then(|text| text.parse().ok());
        let is_private = address.is_some_and(|address: SocketAddr| is_special(address.ip()));
        is_private && connection["proxied"] != true
    })
}

impl Wanted {
    /// The grant and what is to be said of it.
    fn table(&self, origin: &str) -> String {
        let mut lines = vec![format!("# {}", self.seen())];
        let text = |text: &str| toml::Value::from(text).to_string();
        let list = |texts: &mut dyn Iterator<Item = &str>| {
            format!("[{}]", texts.map(text).collect::<Vec<_>>().join(", "))
        };
        match self.kind {
            Kind::Public => {}
            Kind::Private => lines.push(
                "# A private address: only where the connector has business in your own network."
                    .into(),
            ),
            Kind::Metadata => lines.push(
                "# Cloud metadata, which gives out the machine's own credentials: left out.".into(),
            ),
        }
        let begin = lines.len();
        lines.push("[[grant]]".into());
        lines.push(format!("origin = {}", text(origin)));
        if self.kind != Kind::Public {
            lines.push("private = true".into());
        }
        lines.push(format!("methods = {}", list(&mut self.methods.iter().map(String::as_str))));
        let paths = self.paths.to_texts();
        match paths.is_empty() {
            true => lines.push("# The paths have nothing in common: all are granted.".into()),
            false => lines.push(format!("paths = {}", list(&mut paths.iter().map(String::as_str)))),
        }
        if self.redirects > 0 {
            lines.push(format!("redirects = {}", self.redirects));
        }
        if self.kind == Kind::Metadata {
            lines[begin..].iter_mut().for_each(|line| line.insert_str(0, "# "));
        }
        lines.join("\n")
    }

    fn seen(&self) -> String {
        let mut text = count(self.requests, "request");
        let of_them = [(self.reported, "only let through to report it"), (self.refused, "refused")];
        for (number, what) in of_them.into_iter().filter(|(number, _)| *number > 0) {
            let _ = write!(text, ", {number} {what}");
        }
        text
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggest(recording: &str, only: Option<&str>) -> anyhow::Result<String> {
        Suggestion::read(recording.as_bytes(), only).map(|suggestion| suggestion.to_toml())
    }

    const RECORDING: &str = r#"
{"kind":"request","connector":"users","method":"GET","url":"https://api.example.com/v1/users/17","decision":{"granted":"grant 1 (https://api.example.com)"},"status":200,"attempts":[{"status":200,"connection":{"address":"93.184.216.34:443","proxied":false,"reused":false}}],"more":"new"}
{"kind":"log","connector":"users","level":"info","message":"a line"}
{"kind":"request","connector":"users","method":"POST","url":"https://api.example.com/v1/users","decision":{"reported":"https://api.example.com is not granted; allow it with --allow https://api.example.com"},"hops":["https://cdn.example.com/a/b"],"status":200}
{"kind":"request","connector":"users","method":"GET","url":"https://refused.example/x","decision":{"refused":"https://refused.example is not granted; allow it with --allow https://refused.example"}}
{"kind":"request","connector":"users","method":"GET","url":"https://secret.example/x","decision":{"refused":"the secret KEY is not bound to https://secret.example; allow it with --bind KEY=https://secret.example"}}
{"kind":"request","connector":"users","method":"GET","url":"https://learnt.example/x","decision":{"refused":"the secret KEY is not sent where nothing is granted, also while the policy only reports: https://learnt.example is not granted; allow it with --allow https://learnt.example"}}
{"kind":"request","connector":"users","method":"GET","url":"http://169.254.169.254/latest/meta-data/","decision":{"refused":"169.254.169.254 is a cloud metadata address; allow it with --allow-private http://169.254.169.254"}}
{"kind":"request","connector":"users","method":"GET","url":"http://db.internal/","decision":{"granted":"grant 2"},"status":200,"attempts":[{"connection":{"address":"10.0.0.7:80","proxied":false}}]}
{"kind":"request","connector":"users","method":"GET","url":"https://through.example/x","decision":{"granted":"grant 3"},"status":200,"attempts":[{"connection":{"address":"10.0.0.8:80","proxied":true}}]}
{"kind":"request","connector":"users","method":"GET","url":"(no URL)","error":"the URL cannot be read"}
"#;

    const SUGGESTED: &str = r#"# Suggested from 10 requests of users. It shows what the connector did, not what it should do: read it before you use it.
# component = "connector.wasm"

# 2 requests, 1 only let through to report it
[[grant]]
origin = "https://api.example.com"
methods = ["GET", "POST"]
paths = ["/v1/users/"]
redirects = 1

# 2 requests, 2 only let through to report it
[[grant]]
origin = "https://cdn.example.com"
methods = ["GET", "POST"]
paths = ["/a/b"]
redirects = 1

# 1 request
# A private address: only where the connector has business in your own network.
[[grant]]
origin = "http://db.internal"
private = true
methods = ["GET"]
# The paths have nothing in common: all are granted.
"#;

    #[test]
    fn a_recording_becomes_the_grants_that_it_needs() {
        let toml = suggest(RECORDING, None).expect("a recording");
        for table in SUGGESTED.split("\n\n").skip(1) {
            assert!(toml.contains(table.trim_end()), "it lacks {table}:\n{toml}");
        }
        for part in [
            "# 1 request, 1 refused\n[[grant]]\norigin = \"https://refused.example\"",
            "[[grant]]\norigin = \"https://learnt.example\"",
            "# [[grant]]\n# origin = \"http://169.254.169.254\"\n# private = true\n",
            "[[grant]]\norigin = \"https://through.example\"\nmethods",
        ] {
            assert!(toml.contains(part), "it lacks {part}:\n{toml}");
        }
        assert!(!toml.contains("secret.example"), "{toml}");
        assert!(!toml.contains("  "), "{toml}");
    }

    #[test]
    fn what_is_suggested_is_a_settings_file() {
        use crate::settings::file::File;
        use std::path::Path;
        let toml = suggest(RECORDING, None).expect("a recording");
        let file = File::parse(&toml, Path::new("connector.toml")).expect(&toml);
        assert_eq!(file.grants.len(), 6);
        let nothing = suggest("", None).expect("no requests");
        assert!(File::parse(&nothing, Path::new("connector.toml")).is_ok(), "{nothing}");
    }

    #[test]
    fn the_older_form_of_a_record_is_read_too() {
        let recording = r#"{"at":1,"connector":"c","call":null,"method":"GET","url":"https://a.example/x","status":200,"error":null,"attempts":1,"bytes_out":0,"bytes_in":2,"took":1.5}
{"at":1,"connector":"c","method":"GET","url":"https://b.example/x","status":null,"error":"https://b.example is not granted; allow it with --allow https://b.example","attempts":0}
{"at":1,"connector":"c","method":"GET","url":"https://none.example/x","status":null,"error":"cannot find none.example","attempts":0}"#;
        let toml = suggest(recording, None).expect("a recording");
        assert!(toml.contains("a.example") && toml.contains("b.example"), "{toml}");
        assert!(!toml.contains("none.example"), "{toml}");
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        for (recording, says) in [
            ("{}", "line 1: it has no `method` and `url`"),
            ("\n\nnot JSON", "line 3: it is no record; a recording is what `--record FILE` writes"),
            ("[1]", "line 1: it is no record"),
            ("{\"method\":\"GET\"}\n", "line 1: it has no `method` and `url`"),
            (
                "{\"method\":\"G T\",\"url\":\"https://a.example\",\"status\":200}",
                "line 1: \"G T\" is no method",
            ),
            (
                "{\"connector\":\"a\",\"method\":\"GET\",\"url\":\"\"}\n{\"connector\":\"b\",\"method\":\"GET\",\"url\":\"\"}",
                "it has requests of a, b; a settings file is for one connector: choose it with --connector ID",
            ),
        ] {
            let error = format!("{:#}", suggest(recording, None).expect_err(recording));
            assert!(error.contains(says), "{recording}: {error}");
        }
        let long = format!("{{\"method\":\"{}\"}}", "x".repeat(2 << 20));
        let error = format!("{:#}", suggest(&long, None).expect_err("too long"));
        assert_eq!(error, "line 1: it is longer than 1024 kB");
    }

    #[test]
    fn one_of_several_connectors_can_be_chosen() {
        let record = |connector: &str| {
            format!(
                "{{\"connector\":\"{connector}\",\"method\":\"GET\",\"url\":\"https://{connector}.example/x\",\"status\":200}}\n"
            )
        };
        let toml = suggest(&(record("a") + &record("b")), Some("b")).expect("a recording");
        assert!(
            toml.contains("https://b.example") && !toml.contains("https://a.example"),
            "{toml}"
        );
    }
}
