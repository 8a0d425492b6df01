//! A connector that tries everything to learn a secret, and does not: not in its memory, and not in
//! anything that leaves the program.

use std::fs;
use std::path::Path;

use aloma_tests::cli::run;
use aloma_tests::process::Invocation;
use aloma_tests::{Answer, FakeApi, RawApi, Received, Scene, Then, error_of, guest};
use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

const CANARY: &str = "canary/7Q<\"x\"&'+~é=w4Rbl3r";
const KNOWN: &str = "kn0wn-Value-of-the-spy";
/// No guest's memory holds a needle because of the search: it is looked for behind this mask.
const MASK: u8 = 0xa5;

/// Parts of the canary that would give it away: of itself, and of its base64 and hexadecimal digits,
/// all in lower case. Escapes of any kind leave some of the first.
fn needles() -> Vec<String> {
    let mut needles = windows(CANARY, 6);
    let backwards: String = CANARY.chars().rev().collect();
    needles.extend(windows(&backwards, 6));
    for offset in 0..3 {
        let code = STANDARD.encode([&b"\0\0"[..offset], CANARY.as_bytes()].concat());
        needles.extend(windows(&code[4..code.len() - 4], 10));
    }
    needles.extend(windows(&hex(CANARY), 12));
    needles
}

fn windows(text: &str, width: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.windows(width).map(|part| part.iter().collect::<String>().to_lowercase()).collect()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn assert_hides(what: &str, text: &str) {
    let text = text.to_lowercase();
    if let Some(needle) = needles().into_iter().find(|needle| text.contains(needle)) {
        let at = text.find(&needle).unwrap_or_default();
        let (from, to) = (at.saturating_sub(300), (at + 300).min(text.len()));
        let around = String::from_utf8_lossy(&text.as_bytes()[from..to]);
        panic!("{what} holds {needle:?}: …{around}…");
    }
}

fn percent(text: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let escape = |byte: u8| match is_plain(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn html(text: &str) -> String {
    [('&', "&amp;"), ('<', "&lt;"), ('"', "&quot;"), ('\'', "&#x27;")]
        .iter()
        .fold(text.to_owned(), |text, (mark, escape)| text.replace(*mark, escape))
}

fn lines(code: &str, width: usize, end: &str) -> String {
    let lines = code.as_bytes().chunks(width).map(String::from_utf8_lossy);
    lines.collect::<Vec<_>>().join(end)
}

/// The canary in every spelling that an API may answer with.
fn spellings() -> Vec<String> {
    let json = json!({ "key": CANARY }).to_string();
    let code = STANDARD.encode(format!("user:{CANARY}, and so on and on and on and on"));
    let numbers: String = html(CANARY).replace('+', "&#43;").replace('é', "&#233;");
    vec![
        CANARY.to_owned(),
        CANARY.to_uppercase().replace('É', "é"),
        json.replace('/', "\\/"),
        json.replace('é', "\\u00E9").replace('<', "\\u003c").replace('&', "\\u0026"),
        json!(json.clone()).to_string(),
        json,
        percent(CANARY),
        percent(CANARY).to_lowercase(),
        percent(&percent(CANARY)),
        json!(format!("https://a.example/?key={}", percent(CANARY))).to_string(),
        html(CANARY),
        html(CANARY).replace("&#x27;", "&#39;"),
        numbers,
        hex(CANARY),
        hex(CANARY).to_uppercase(),
        URL_SAFE_NO_PAD.encode(CANARY),
        STANDARD.encode(&code),
        lines(&code, 20, "\r\n"),
        json!(lines(&code, 20, "\n")).to_string(),
        percent(&code),
        code,
    ]
}

/// An API that answers with everything that it got.
fn echo(received: &Received) -> Answer {
    let all = format!(
        "{:?}\n{}\n{}",
        received.headers,
        received.query,
        String::from_utf8_lossy(&received.body)
    );
    let key = received.header("x-key").unwrap_or_default();
    Answer::new(200, all).header("x-echo", &percent(key))
}

/// APIs that know the canary, and the URLs at which each answers with it in another way.
struct Leaks {
    api: FakeApi,
    raw: Vec<RawApi>,
    urls: Vec<String>,
}

impl Leaks {
    async fn start() -> Self {
        let api = FakeApi::start();
        api.on("GET", "/echo", echo).on("POST", "/echo", echo);
        let mut paths = Vec::new();
        for (path, answer) in answers().await {
            let (again, other) = (answer.clone(), answer);
            api.on("GET", &path, move |_| again.clone());
            api.on("POST", &path, move |_| other.clone());
            paths.push(api.url(&path));
        }
        let mut raw = vec![RawApi::silent().await];
        for answer in raw_answers() {
            raw.push(RawApi::start(&answer, Then::Close).await);
        }
        paths.extend(raw.iter().map(|raw| format!("{}/leak", raw.origin())));
        Self { api, raw, urls: paths }
    }

    fn origins(&self) -> impl Iterator<Item = String> {
        std::iter::once(self.api.origin()).chain(self.raw.iter().map(RawApi::origin))
    }
}

async fn answers() -> Vec<(String, Answer)> {
    let mut answers: Vec<Answer> = spellings()
        .iter()
        .flat_map(|text| {
            let body = Answer::new(200, text.clone());
            // A header holds no line breaks.
            match text.contains('\n') {
                true => vec![body],
                false => vec![body, Answer::new(200, "").header("x-key", text)],
            }
        })
        .collect();
    let token = percent(CANARY);
    let everything = spellings().join("\n");
    answers.extend([
        Answer::new(302, "").header("location", &format!("/echo?key={token}#{token}")),
        Answer::new(200, "").header("set-cookie", &format!("key={token}; path=/")),
        Answer::new(200, "").header(&format!("x-{}", hex(CANARY)), "1"),
        Answer::new(401, CANARY).header("www-authenticate", &format!("Bearer realm=\"{token}\"")),
        Answer::new(500, CANARY),
        Answer::new(200, everything.clone()).header("content-encoding", "lzma"),
        Answer::new(200, everything.clone()).header("content-encoding", "gzip"),
    ]);
    let (text, mut packed) = (everything.as_bytes(), [const { Vec::new() }; 3]);
    GzipEncoder::new(text).read_to_end(&mut packed[0]).await.expect("gzip");
    BrotliEncoder::new(text).read_to_end(&mut packed[1]).await.expect("brotli");
    ZstdEncoder::new(text).read_to_end(&mut packed[2]).await.expect("zstd");
    for (coding, packed) in ["gzip", "br", "zstd"].into_iter().zip(packed) {
        answers.push(Answer::new(200, packed).header("content-encoding", coding));
    }
    (0..).map(|number| format!("/leak/{number}")).zip(answers).collect()
}

/// What no HTTP library writes: pieces that cut the canary, trailers, and answers that are none.
fn raw_answers() -> Vec<String> {
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\n{more}\r\n\r\n");
    let chunked = head("transfer-encoding: chunked");
    let pieces = CANARY.split_inclusive(|c: char| !c.is_ascii_alphabetic()).map(chunk);
    let (cut, end) = (pieces.collect::<String>(), chunk("end"));
    let (token, code) = (percent(CANARY), STANDARD.encode(CANARY));
    vec![
        format!("{chunked}{cut}0\r\n\r\n"),
        format!("{chunked}{end}0\r\nx-end: {token}\r\nx-code: {code}\r\n\r\n"),
        head("content-length: 1000") + CANARY,
        format!("{chunked}{cut}"),
        format!("{chunked}{token}\r\n"),
        format!("HTTP/1.1 {token} OK\r\n\r\n"),
        format!("{token}\r\n\r\n"),
        head(CANARY),
        head(&format!("content-length: {token}")),
        format!("HTTP/1.1 200 {token}\r\ncontent-length: 0\r\n\r\n"),
    ]
}

/// What to look for in memory, masked: the needles, and behind them something that is there.
fn masked() -> Vec<Vec<u8>> {
    let known = [KNOWN.to_lowercase()];
    let mask = |needle: &String| needle.bytes().map(|byte| byte ^ MASK).collect();
    needles().iter().chain(&known).map(mask).collect()
}

fn errand(leaks: &Leaks, elsewhere: &FakeApi) -> Value {
    json!({
        "echo": leaks.api.url("/echo"),
        "urls": leaks.urls,
        "elsewhere": elsewhere.url("/echo"),
        "needles": masked(),
        "mask": MASK,
    })
}

async fn start(leaks: &Leaks, elsewhere: &FakeApi, record: &Path) -> Scene {
    let mut setting = Scene::connector("spy")
        .config("SECRET", CANARY)
        .config("KNOWN", KNOWN)
        .env("LOG_LEVEL", "trace")
        .env("RUST_LOG", "trace")
        .args(["--call-timeout", "300"])
        .args(["--record", record.to_str().expect("a path that is text")])
        .allow_private(&elsewhere.origin());
    for origin in leaks.origins() {
        setting = setting.allow_private(&origin).args(["--bind", &format!("SECRET={origin}")]);
    }
    setting.start().await
}

/// Searches what leaves the program: what it printed, what the workspace got, and its files.
fn assert_nothing_leaves(scene: &Scene, folder: &Path) {
    let log = scene.process.log();
    assert!(log.holds("aloma-sealed-"), "there is a log to search: {log}");
    assert_hides("the log", &log.to_string());
    for packet in scene.workspace.history() {
        assert_hides("a packet", &packet.body.to_string());
    }
    assert_hides("a file", &contents(scene.process.home()));
    assert_hides("a recording", &contents(folder));
}

/// Every file below a folder.
fn contents(folder: &Path) -> String {
    let entries = folder.read_dir().expect("a folder").flatten();
    let content = |path: &Path| match path.is_dir() {
        true => contents(path),
        false => String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned(),
    };
    entries.map(|entry| content(&entry.path()) + "\n").collect()
}

#[tokio::test]
async fn a_spy_learns_no_secret_and_nothing_that_leaves_tells_it() {
    let (leaks, elsewhere) = (Leaks::start().await, FakeApi::start());
    let folder = tempfile::tempdir().expect("a folder");
    let scene = start(&leaks, &elsewhere, &folder.path().join("requests.jsonl")).await;
    let answer = scene.query(&["spy"], errand(&leaks, &elsewhere)).await;
    assert_hides("the result", &answer.to_string());
    let seen = answer["seen"].as_array().unwrap_or_else(|| panic!("{answer}"));
    for text in seen {
        let text: String = text.as_str().expect("a text").chars().rev().collect();
        assert_hides("what the spy saw", &text);
    }
    let found = answer["found"].as_array().expect("a list");
    let known = needles().len();
    assert!(found.iter().any(|one| one[0] == known), "the search finds what is there: {found:?}");
    assert!(found.iter().all(|one| one[0] == known), "in memory: {found:?}");
    let sent = leaks.api.received();
    let got = |request: &Received| {
        let key = request.headers.get("x-key");
        key.is_some_and(|value| value.as_bytes() == CANARY.as_bytes())
    };
    assert!(sent.iter().any(got), "the API gets the secret");
    assert_eq!(elsewhere.received().len(), 0);
    assert_nothing_leaves(&scene, folder.path());
}

#[tokio::test]
async fn a_spy_that_fails_or_panics_tells_no_secret() {
    let (leaks, elsewhere) = (Leaks::start().await, FakeApi::start());
    let folder = tempfile::tempdir().expect("a folder");
    let scene = start(&leaks, &elsewhere, &folder.path().join("requests.jsonl")).await;
    for action in ["fail", "panic"] {
        let answer = scene.query(&[action], errand(&leaks, &elsewhere)).await;
        assert!(!error_of(&answer).is_empty(), "{answer}");
        assert_hides(action, &answer.to_string());
    }
    assert_nothing_leaves(&scene, folder.path());
}

#[tokio::test]
async fn a_trace_of_a_spys_requests_tells_no_secret() {
    let (leaks, elsewhere) = (Leaks::start().await, FakeApi::start());
    let file = guest("spy").into_os_string().into_string().expect("a path that is text");
    let mut args = vec!["call".to_owned(), file, "spy".into()];
    args.extend([errand(&leaks, &elsewhere).to_string(), "--trace".into()]);
    args.extend(["--config".to_owned(), format!("SECRET={CANARY}")]);
    for origin in leaks.origins() {
        args.extend(["--allow-private".to_owned(), origin]);
    }
    let args = args.into_iter().map(Into::into).collect();
    let env = ["LOG_LEVEL", "RUST_LOG"].map(|name| (name.to_owned(), "trace".to_owned())).into();
    let output = run(Invocation { args, env, ..Default::default() }).await;
    assert_hides("the output", &output.stdout);
    assert_hides("the trace", &output.stderr);
    assert!(output.stderr.contains("/echo"), "{output:?}");
}
