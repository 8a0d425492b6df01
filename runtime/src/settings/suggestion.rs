//! Grants that would let through what a connector was seen to request.
//!
//! A recording shows what a connector did, and not what it should do: the outcome is for somebody to
//! read.

mod prefixes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, Read as _};
use std::net::SocketAddr;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use url::{Host, Url};

use self::prefixes::Prefixes;
use crate::broker::{is_credential_name, is_special};
use crate::printable::printable;

/// Bytes of one line of a recording. A record has one or two kB.
const LINE_BYTES: u64 = 1 << 20;

/// Origins in a recording. More is a connector that makes them up.
const ORIGINS: usize = 1000;

/// The grants for what a recording holds.
#[derive(Debug, Default)]
pub struct Suggestion {
    connectors: BTreeSet<String>,
    origins: BTreeMap<String, AtOrigin>,
    /// Lines that are no JSON, and what was wrong with the first of them.
    unreadable: usize,
    fault: Option<anyhow::Error>,
    /// Events that were not recorded.
    lost: u64,
}

/// What was requested of one origin.
#[derive(Debug, Default)]
struct AtOrigin {
    all: Wanted,
    /// The same, by the credential that was added. What was not let through is with those without one.
    parts: BTreeMap<Option<String>, Wanted>,
    /// What was added to requests that were let through.
    credentials: BTreeSet<Option<String>>,
}

/// What a grant is wanted for.
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
    credential: Option<String>,
    status: Option<u16>,
    error: Option<String>,
    /// How often it was sent, or what became of each time.
    #[serde(default)]
    attempts: Value,
    #[serde(default)]
    hops: Vec<String>,
    /// How many were lost, where that is what the line says.
    count: Option<u64>,
}

/// What the policy said. One key is there; none of them in a recording of another version.
#[derive(Deserialize)]
struct Decision {
    granted: Option<String>,
    reported: Option<String>,
    refused: Option<String>,
}

impl Suggestion {
    /// Reads a recording: a JSON object a line. Of several connectors only one can be meant. A line that
    /// is no JSON is left out: a process that was killed may have left half a line.
    ///
    /// # Errors
    /// When a line is something else than a record, or nothing is there of what is asked for; names the
    /// line's number, or the connectors that there are.
    pub fn read(mut recording: impl BufRead, only: Option<&str>) -> anyhow::Result<Self> {
        let mut suggestion = Self::default();
        for number in 1.. {
            let mut text = Vec::new();
            let read = (&mut recording).take(LINE_BYTES).read_until(b'\n', &mut text);
            if read.with_context(|| format!("cannot read line {number}"))? == 0 {
                break;
            }
            let at = || format!("line {number}");
            match read_line(&text).with_context(at)? {
                Read::Nothing => {}
                Read::Request(line) => suggestion.add(&line, only).with_context(at)?,
                Read::Lost(count) => suggestion.lost = suggestion.lost.saturating_add(count),
                Read::Half(error) => {
                    suggestion.unreadable += 1;
                    suggestion.fault.get_or_insert(error.context(at()));
                }
            }
        }
        suggestion.check(only)
    }

    /// Whether it is clear whose requests they are, and there are any.
    fn check(mut self, only: Option<&str>) -> anyhow::Result<Self> {
        let ids = || printable(&self.connectors.iter().cloned().collect::<Vec<_>>().join(", "));
        match only {
            _ if self.connectors.is_empty() => {
                let none = "it has no requests; a recording is what `--record FILE` writes";
                return Err(self.fault.take().unwrap_or_else(|| anyhow!(none)));
            }
            Some(only) if !self.connectors.contains(only) => bail!(
                "it has no requests of {}, but of {}; choose one of them with --connector ID",
                printable(only),
                ids()
            ),
            None if self.connectors.len() > 1 => bail!(
                "it has requests of {}; a settings file is for one connector: choose it with \
                 --connector ID",
                ids()
            ),
            Some(only) => self.connectors.retain(|id| id == only),
            None => {}
        }
        Ok(self)
    }

    fn add(&mut self, line: &Line, only: Option<&str>) -> anyhow::Result<()> {
        let (Some(method), Some(url)) = (&line.method, &line.url) else {
            bail!("it has no `method` and `url`; a recording is what `--record FILE` writes")
        };
        let connector = line.connector.clone().unwrap_or_default();
        let is_meant = only.is_none_or(|only| only == connector);
        self.connectors.insert(connector);
        if !is_meant {
            return Ok(());
        }
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
        let added = added(line, &url, verdict);
        let at = self.origins.entry(origin).or_default();
        at.credentials.extend(added.clone());
        let part = at.parts.entry(added.flatten()).or_default();
        for wanted in [&mut at.all, part] {
            wanted.add(method, &url, line, verdict);
        }
        Ok(())
    }

    /// The settings file.
    pub fn to_toml(&self) -> String {
        let requests: usize = self.origins.values().map(|at| at.all.requests).sum();
        let who = self.connectors.iter().next().filter(|id| !id.is_empty());
        let who = who.map(|id| format!(" of {}", printable(id))).unwrap_or_default();
        let mut out = format!(
            "# Suggested from {}{who}. It shows what the connector did, not what it should do: read \
             it before you use it.\n",
            count(requests, "request")
        );
        for gap in self.gaps() {
            let _ = writeln!(out, "# {gap}");
        }
        out += "# Of several grants that a request fits, the closest sets all the terms. Where you have one \
                for an origin,\n# widen it, or copy what a recording does not tell: attempts, \
                timeout-seconds, client-certificate, rates.\n# component = \"connector.wasm\"\n";
        for (origin, at) in &self.origins {
            let _ = write!(out, "{}", at.tables(origin));
        }
        out
    }

    /// What is not in it.
    fn gaps(&self) -> impl Iterator<Item = String> {
        let unreadable = (self.unreadable > 0).then(|| {
            let (lines, are) = (count(self.unreadable, "line"), are(self.unreadable));
            format!(
                "{lines} {are} left out: no JSON, as the half line is that a process leaves which is \
                 killed."
            )
        });
        let lost = usize::try_from(self.lost).unwrap_or(usize::MAX);
        let lost = (lost > 0).then(|| {
            let (events, are) = (count(lost, "event"), are(lost));
            format!(
                "{events} {are} missing, which came faster than the recording was written: there may be \
                 requests among them."
            )
        });
        unreadable.into_iter().chain(lost)
    }
}

/// What a line of a recording is.
enum Read {
    Nothing,
    Request(Box<Line>),
    Lost(u64),
    /// No JSON.
    Half(anyhow::Error),
}

fn read_line(text: &[u8]) -> anyhow::Result<Read> {
    ensure!((text.len() as u64) < LINE_BYTES, "it is longer than {} kB", LINE_BYTES >> 10);
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(Read::Nothing);
    }
    let line: Line = match serde_json::from_slice(text) {
        Ok(line) => line,
        Err(error) => {
            let is_data = error.is_data();
            let error = anyhow::Error::new(error)
                .context("it is no record; a recording is what `--record FILE` writes");
            return if is_data { Err(error) } else { Ok(Read::Half(error)) };
        }
    };
    Ok(match line.kind.as_deref() {
        None | Some("request") => Read::Request(Box::new(line)),
        Some("lost") => Read::Lost(line.count.unwrap_or_default()),
        Some(_) => Read::Nothing,
    })
}

/// The credential that a request went out with, or that it went out without one. None where it was held
/// back, or was led there by another server and so had none anyway.
fn added(line: &Line, url: &Url, verdict: &Verdict<'_>) -> Option<Option<String>> {
    let own = line.url.as_deref().and_then(|own| Url::parse(own).ok())?;
    if own.origin() != url.origin() {
        return None;
    }
    let name = line.credential.as_ref().filter(|name| is_credential_name(name));
    let was_sent =
        line.status.is_some() || line.attempts.as_array().is_some_and(|all| !all.is_empty());
    let is_known = name.is_some() || matches!(verdict, Verdict::Granted(_)) && was_sent;
    is_known.then(|| name.cloned())
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

impl AtOrigin {
    /// The grants: one, or one for each credential.
    fn tables(&self, origin: &str) -> String {
        let mut out = String::new();
        if self.credentials.len() < 2 {
            let credential = self.credentials.iter().flatten().next();
            let _ = writeln!(out, "\n{}", self.all.table(origin, self.all.kind, credential));
            return out;
        }
        out += "\n# Requests to this origin had different credentials, or none: look whether the paths keep \
                them apart.";
        // With the same paths the first one decides, and a request without its key would fail.
        for (credential, wanted) in self.parts.iter().rev() {
            let _ = writeln!(out, "\n{}", wanted.table(origin, self.all.kind, credential.as_ref()));
        }
        out
    }
}

impl Wanted {
    fn add(&mut self, method: &str, url: &Url, line: &Line, verdict: &Verdict<'_>) {
        self.methods.insert(method.to_ascii_uppercase());
        self.paths.add(url);
        self.redirects = self.redirects.max(line.hops.len());
        self.requests += 1;
        self.reported += usize::from(matches!(verdict, Verdict::Reported(_)));
        self.refused += usize::from(matches!(verdict, Verdict::Refused(_)));
        self.kind = self.kind.max(kind(url, line, verdict));
    }

    /// The grant and what is to be said of it.
    fn table(&self, origin: &str, kind: Kind, credential: Option<&String>) -> String {
        let mut lines = vec![format!("# {}", self.seen())];
        let text = |text: &str| toml::Value::from(text).to_string();
        let list = |texts: &mut dyn Iterator<Item = &str>| {
            format!("[{}]", texts.map(text).collect::<Vec<_>>().join(", "))
        };
        match kind {
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
        if kind != Kind::Public {
            lines.push("private = true".into());
        }
        lines.push(format!("methods = {}", list(&mut self.methods.iter().map(String::as_str))));
        let paths = self.paths.to_texts();
        match paths.is_empty() {
            true => lines.push("# The paths have nothing in common: all are granted.".into()),
            false => lines.push(format!("paths = {}", list(&mut paths.iter().map(String::as_str)))),
        }
        if let Some(credential) = credential {
            lines.push(format!("credential = {}", text(credential)));
        }
        if self.redirects > 0 {
            lines.push(format!("redirects = {}", self.redirects));
        }
        if kind == Kind::Metadata {
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

fn are(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
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
            ("", "it has no requests; a recording is what `--record FILE` writes"),
            ("{\"kind\":\"lost\",\"count\":3}\n", "it has no requests"),
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
        assert!(toml.starts_with("# Suggested from 1 request of b."), "{toml}");
        let told = suggest(&(record("a") + &record("b")), Some("c")).expect_err("not there");
        let told = told.to_string();
        assert!(told.starts_with("it has no requests of c, but of a, b; "), "{told}");
    }

    /// A request as it is recorded.
    fn granted(method: &str, url: &str, credential: Option<&str>) -> String {
        let record = serde_json::json!({
            "kind": "request", "connector": "users", "method": method, "url": url,
            "decision": {"granted": "grant 1"}, "credential": credential, "status": 200,
        });
        format!("{record}\n")
    }

    /// Without it the suggested grant, as the closest one, once took the credential away.
    #[test]
    fn a_suggested_grant_has_the_credential_that_requests_had() {
        let refused = r#"{"kind":"request","connector":"users","method":"POST","url":"https://a.example/v1/users","decision":{"refused":"POST to https://a.example is not granted; allow it in connector.toml: x"}}
"#;
        let with = |path: &str, credential| {
            granted("GET", &format!("https://a.example{path}"), credential)
        };
        let one = with("/v1/users", Some("users-api")) + refused;
        let toml = suggest(&one, None).expect("a recording");
        let lines =
            "methods = [\"GET\", \"POST\"]\npaths = [\"/v1/users\"]\ncredential = \"users-api\"\n";
        assert!(toml.contains(lines), "{toml}");

        let several = one + &with("/open", None) + &with("/v2", Some("other"));
        let toml = suggest(&several, None).expect("a recording");
        assert!(toml.contains("# Requests to this origin had different credentials"), "{toml}");
        let tables: Vec<_> = toml.split("[[grant]]").skip(1).collect();
        let [of_users, other, without] = tables.as_slice() else { panic!("{toml}") };
        for (table, parts) in [
            (of_users, ["[\"/v1/users\"]", "credential = \"users-api\""]),
            (other, ["[\"/v2\"]", "credential = \"other\""]),
            (without, ["\"/open\"", "\"POST\""]),
        ] {
            assert!(parts.iter().all(|part| table.contains(part)), "{parts:?}: {toml}");
        }
        assert!(!without.contains("credential"), "{toml}");
    }

    #[test]
    fn half_a_line_is_left_out_and_gaps_are_told() {
        let whole = granted("GET", "https://a.example/x", None);
        let half = &whole[..whole.len() / 2];
        let recording = format!("{whole}{half}\n{{\"kind\":\"lost\",\"count\":3}}\n{whole}{half}");
        let toml = suggest(&recording, None).expect("a recording");
        for part in
            ["from 2 requests of users", "\n# 2 lines are left out", "\n# 3 events are missing"]
        {
            assert!(toml.contains(part), "it lacks {part}:\n{toml}");
        }
        let told = format!("{:#}", suggest(half, None).expect_err("nothing else is there"));
        assert!(told.starts_with("line 1: it is no record"), "{told}");
        assert!(!suggest(&whole, None).expect("a recording").contains(" left out"));
    }
}
