//! Credentials of `connector.toml`: added to a request by name or by grant, unseen by the guest, and
//! told nowhere.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aloma_tests::aws::is_signed;
use aloma_tests::cli::{Output, run};
use aloma_tests::process::Invocation;
use aloma_tests::{Answer, FakeApi, Received, Scene, error_of, guest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Spelled otherwise in JSON, in percent encoding and in base64.
const CANARY: &str = "canary/7 \"q\"+x";

/// An API that answers with everything that it got, in every spelling.
fn echo() -> FakeApi {
    let api = FakeApi::start();
    api.on("GET", "/echo", |request: &Received| {
        let mut all = vec![request.query.clone(), unescaped(&request.query)];
        for value in request.headers.values().filter_map(|value| value.to_str().ok()) {
            let last = value.rsplit(' ').next().unwrap_or_default();
            all.extend([value.to_owned(), percent(value), percent(last), STANDARD.encode(value)]);
        }
        Answer::json(200, &json!(all)).header("x-echo", &all[0])
    });
    api
}

/// A folder with the settings of `hooks`: a grant for the API with more in it, and the credentials.
fn folder(api: &FakeApi, grant: &str, credentials: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = format!(
        "component = '{}'\nid = 'hooks'\n[[grant]]\norigin = '{}'\nprivate = true\n{grant}\n\
         {credentials}",
        guest("hooks").display(),
        api.origin(),
    );
    std::fs::write(folder.path().join("connector.toml"), settings).expect("a file");
    folder
}

/// Writes a file that only its owner reads.
fn private_file(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).expect("our own file");
}

/// Calls an action with the settings of a folder.
async fn call(folder: &TempDir, action: &str, arguments: &Value, more: &[&str]) -> Output {
    let arguments = arguments.to_string();
    let args = [&["call", "connector.toml", action, &arguments], more].concat();
    let args = args.into_iter().map(Into::into).collect();
    let env = BTreeMap::from([("CANARY".into(), CANARY.into()), ("EMPTY".into(), String::new())]);
    run(Invocation { args, env, directory: Some(folder.path().into()) }).await
}

async fn send(folder: &TempDir, api: &FakeApi) -> Output {
    call(folder, "send", &json!({"url": api.url("/echo")}), &[]).await
}

fn percent(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

fn unescaped(query: &str) -> String {
    let parts = query.split('%').enumerate();
    let read = |(at, part): (usize, &str)| match part.get(..2).filter(|_| at > 0) {
        Some(digits) => {
            let byte = u8::from_str_radix(digits, 16).expect("two hexadecimal digits");
            format!("{}{}", char::from(byte), &part[2..])
        }
        None => part.to_owned(),
    };
    parts.map(read).collect()
}

/// Checks that a text holds the canary in no spelling.
#[track_caller]
fn is_untold(what: &str, text: &str) {
    let json = json!(CANARY).to_string();
    for spelling in [CANARY, json.trim_matches('"'), &percent(CANARY), "canary"] {
        assert!(!text.contains(spelling), "{what} holds {spelling}: {text}");
    }
    for encoded in [STANDARD.encode(CANARY), STANDARD.encode(format!("me:{CANARY}"))] {
        let encoded = encoded.trim_end_matches('=');
        assert!(!text.contains(&encoded[..encoded.len() - 1]), "{what} holds {encoded}: {text}");
    }
}

/// Every kind that is added as it is: its settings, and what the API gets.
fn fixed_kinds() -> Vec<(&'static str, &'static str, String)> {
    let basic = STANDARD.encode(format!("me:{CANARY}"));
    vec![
        (
            "type = 'bearer'\ntoken = { env = 'CANARY' }",
            "authorization",
            format!("Bearer {CANARY}"),
        ),
        ("type = 'bearer'\ntoken = { file = 'key' }", "authorization", format!("Bearer {CANARY}")),
        (
            "type = 'bearer'\ntoken = 'canary/7 \"q\"+x'",
            "authorization",
            format!("Bearer {CANARY}"),
        ),
        (
            "type = 'bearer'\ntoken = { field = 'API_KEY' }",
            "authorization",
            format!("Bearer {CANARY}"),
        ),
        (
            "type = 'basic'\nusername = 'me'\npassword = { env = 'CANARY' }",
            "authorization",
            format!("Basic {basic}"),
        ),
        ("type = 'header'\nname = 'X-Key'\nvalue = { file = 'key' }", "x-key", CANARY.into()),
        ("type = 'query'\nname = 'the key'\nvalue = { env = 'CANARY' }", "", {
            format!("the%20key={}", percent(CANARY))
        }),
    ]
}

#[tokio::test]
async fn every_kind_reaches_the_api_and_is_told_nowhere() {
    for (settings, header, expected) in fixed_kinds() {
        let api = echo();
        let folder = folder(&api, "credential = 'api'", &format!("[credentials.api]\n{settings}"));
        private_file(&folder.path().join("key"), &format!("{CANARY}\n"));
        let arguments = json!({"url": api.url("/echo?own=1")});
        let field = format!("API_KEY={CANARY}");
        let flags =
            ["--log-level", "trace", "--trace", "--record", "record.jsonl", "--config", &field];
        let output = call(&folder, "send", &arguments, &flags).await;
        assert_eq!(output.json()["status"], 200, "{settings}: {output:#?}");
        let received = &api.received()[0];
        match header {
            "" => assert_eq!(received.query, format!("own=1&{expected}"), "{settings}"),
            _ => assert_eq!(received.header(header), Some(&*expected), "{settings}"),
        }
        let record = std::fs::read_to_string(folder.path().join("record.jsonl")).expect("a file");
        is_untold("the guest's answer", &output.stdout);
        is_untold("the log", &output.stderr);
        is_untold("the record", &record);
        for text in [&output.stderr, &record] {
            assert!(text.contains("api"), "the credential's name is told: {text}");
        }
    }
}

#[tokio::test]
async fn a_guest_names_a_credential_or_the_grant_attaches_it() {
    let credentials = "[credentials.api]\ntype = 'bearer'\ntoken = 'of-the-api'\n\
                       [credentials.other]\ntype = 'bearer'\ntoken = 'of-the-other'\n";
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    for (grant, named, expected) in [
        ("", None, None),
        ("", Some("other"), bearer("of-the-other")),
        ("credential = 'api'", None, bearer("of-the-api")),
        ("credential = 'api'", Some("api"), bearer("of-the-api")),
    ] {
        let api = echo();
        let folder = folder(&api, grant, credentials);
        let arguments = json!({"url": api.url("/echo"), "credential": named});
        let output = call(&folder, "send", &arguments, &[]).await;
        assert_eq!(output.json()["status"], 200, "{output:#?}");
        let received = api.received()[0].header("authorization").map(str::to_owned);
        assert_eq!(received, expected, "{grant} and {named:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_added_is_explained_and_nothing_is_sent() {
    let credentials = "[credentials.api]\ntype = 'bearer'\ntoken = 'of-the-api'\n\
                       [credentials.bound]\ntype = 'bearer'\ntoken = 'of-the-bound'\n\
                       origins = ['https://api.example.com']\n\
                       [credentials.field]\ntype = 'bearer'\ntoken = { field = 'API_KEY' }\n";
    for (grant, sending, says) in [
        (
            "",
            json!({"credential": "nope"}),
            &["no credential \"nope\"", "\"api\", \"bound\", \"field\" and \"oauth\""][..],
        ),
        (
            "credential = 'api'",
            json!({"credential": "bound"}),
            &["names the credential \"bound\"", "has the credential \"api\"", "or none"],
        ),
        (
            "",
            json!({"credential": "bound"}),
            &[
                "the credential \"bound\" is not bound to http://127.0.0.1:",
                "origins = [\"https://api.example.com\", \"http://127.0.0.1:",
                "[credentials.bound] of connector.toml",
            ],
        ),
        (
            "credential = 'api'",
            json!({"headers": {"authorization": "Bearer mine"}}),
            &["both a credential and a header authorization", "leave one out"],
        ),
        (
            "",
            json!({"credential": "field"}),
            &["\"field\" needs the field API_KEY, which is not set", "set it"],
        ),
        ("", json!({"credential": "oauth"}), &["no OAuth client", "set its client id"]),
    ] {
        let api = echo();
        let folder = folder(&api, grant, credentials);
        let mut arguments = sending.clone();
        arguments["url"] = api.url("/echo").into();
        let output = call(&folder, "send", &arguments, &[]).await;
        output.failed(1, says);
        assert_eq!(api.received().len(), 0, "{sending}");
    }
}

#[tokio::test]
async fn a_credential_goes_where_it_is_bound() {
    let api = echo();
    let credentials = format!(
        "[credentials.api]\ntype = 'bearer'\ntoken = 'of-the-api'\norigins = ['{}']\n",
        api.origin()
    );
    let folder = folder(&api, "credential = 'api'", &credentials);
    assert_eq!(send(&folder, &api).await.json()["status"], 200);
    assert_eq!(api.received()[0].header("authorization"), Some("Bearer of-the-api"));
}

#[tokio::test]
async fn a_field_of_the_workspace_is_a_credential_that_follows_the_configuration() {
    let api = echo();
    let credentials = "[credentials.api]\ntype = 'bearer'\ntoken = { field = 'API_KEY' }\n";
    let folder = folder(&api, "credential = 'api'", credentials);
    let scene = Scene::file(&folder.path().join("connector.toml"))
        .args(["--log-level", "trace"])
        .config("API_KEY", CANARY)
        .start()
        .await;
    let sending = json!({"url": api.url("/echo")});
    let answer = scene.query(&["send"], sending.clone()).await;
    assert_eq!(answer["status"], 200, "{answer}");
    is_untold("the answer", &answer.to_string());
    let other = "another-canary-value";
    scene.workspace.configure(&[("API_KEY".into(), other.into())]).await;
    is_untold("the answer", &scene.query(&["send"], sending.clone()).await.to_string());
    scene.workspace.configure(&[]).await;
    let answer = scene.query(&["send"], sending).await;
    assert!(error_of(&answer).contains("needs the field API_KEY"), "{answer}");
    let received: Vec<_> = api.received();
    let received: Vec<_> = received.iter().map(|one| one.header("authorization")).collect();
    let expected = [CANARY, other].map(|key| format!("Bearer {key}"));
    assert_eq!(received, expected.each_ref().map(|text| Some(&**text)));
    assert!(!scene.process.log().holds("canary"), "{}", scene.process.log());
}

#[tokio::test]
async fn settings_that_cannot_work_name_file_and_key_and_what_to_do() {
    let long = "x".repeat(70_000);
    for (settings, says) in [
        (
            "type = 'bearer'\ntoken = { env = 'UNSET' }",
            &["token: the variable UNSET is not set", "set it"][..],
        ),
        ("type = 'bearer'\ntoken = { env = 'EMPTY' }", &["token: the variable EMPTY is not set"]),
        ("type = 'bearer'\ntoken = { file = 'empty' }", &["token: the file empty is empty"]),
        (
            "type = 'bearer'\ntoken = { file = 'none' }",
            &["token: there is no file", "none; write the value into it, or name another"],
        ),
        ("type = 'bearer'\ntoken = { file = '.' }", &["token: ", "is no file"]),
        ("type = 'bearer'\ntoken = { file = 'long' }", &["token: the file", "bytes"]),
        (
            "type = 'bearer'\ntoken = { field = 'NOPE' }",
            &["the field NOPE", "no such field of hooks", "API_KEY"],
        ),
        (
            "type = 'header'\nname = 'X-Key'\nvalue = { field = 'TEXT' }",
            &["the field TEXT", "no such field of hooks", "API_KEY"],
        ),
        ("type = 'header'\nname = 'Host'\nvalue = 'x'", &["the header host carries no credential"]),
        (
            "type = 'client-credentials'\ntoken-url = 'id'\nclient-id = 'x'\nclient-secret = 'x'",
            &["token-url is no URL"],
        ),
    ] {
        let api = echo();
        let folder = folder(&api, "", &format!("[credentials.api]\n{settings}\n"));
        private_file(&folder.path().join("long"), &long);
        private_file(&folder.path().join("empty"), "\n");
        let output = call(&folder, "nothing", &json!({}), &[]).await;
        output.failed(1, &[&["connector.toml", "[credentials.api]"], says].concat());
    }
}

#[tokio::test]
async fn settings_that_cannot_be_read_name_their_line_and_no_value() {
    for (settings, says) in [
        (
            "type = 'bearer'\ntoken = ['canary']",
            &["line 7: this is a list; write a text, { env = \"NAME\" }"][..],
        ),
        ("type = 'bearer'\ntoken = { vault = 'canary' }", &["unknown source \"vault\""]),
        ("type = 'bearer'\ntokens = 'canary'", &["tokens", "token"]),
        ("type = 'digest'\ntoken = 'canary'", &["digest", "bearer"]),
        ("token = 'canary'", &["type"]),
    ] {
        let api = echo();
        let folder = folder(&api, "", &format!("[credentials.api]\n{settings}\n"));
        let output = call(&folder, "nothing", &json!({}), &[]).await;
        output.failed(1, &[&["connector.toml: line "], says].concat());
        assert!(!output.stderr.contains("canary"), "{output:#?}");
    }
}

#[tokio::test]
async fn a_secret_that_every_user_can_read_is_warned_of() {
    let api = echo();
    let credentials = "[credentials.api]\ntype = 'bearer'\ntoken = { file = 'key' }\n";
    let folder = folder(&api, "credential = 'api'", credentials);
    let key = folder.path().join("key");
    private_file(&key, "of-the-file");
    let private = send(&folder, &api).await;
    assert!(!private.stderr.contains("chmod"), "{private:#?}");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).expect("our own file");
    let open = send(&folder, &api).await;
    assert_eq!(open.json()["status"], 200);
    for part in ["key can be read by every user", "chmod 600"] {
        assert!(open.stderr.contains(part), "{open:#?}");
    }
    assert!(!open.stderr.contains("of-the-file"), "{open:#?}");
}

#[tokio::test]
async fn a_grant_names_only_credentials_that_there_are() {
    let api = echo();
    let folder = folder(&api, "credential = 'users'", "");
    let output = send(&folder, &api).await;
    output.failed(1, &["connector.toml", "the credential \"users\"", "add [credentials.users]"]);
}

#[tokio::test]
async fn a_signature_holds_for_the_request_that_arrives() {
    let credentials = "[credentials.aws]\ntype = 'aws-sigv4'\naccess-key-id = 'AKIDEXAMPLE'\n\
                       secret-access-key = { env = 'CANARY' }\nsession-token = 'the-session'\n\
                       region = 'eu-central-1'\nservice = 'execute-api'\n";
    let api = FakeApi::start();
    api.on("POST", "/items", |request: &Received| {
        Answer::json(200, &json!(request.header("x-amz-security-token")))
    });
    let folder = folder(&api, "credential = 'aws'", credentials);
    let url = api.url("/items?a=1&b=2");
    let headers = json!({"content-type": "application/json", "x-own": "value"});
    let arguments = json!({"url": url, "method": "POST", "body": "{}", "headers": headers});
    let output = call(&folder, "send", &arguments, &["--log-level", "trace"]).await;
    assert_eq!(output.json()["status"], 200, "{output:#?}");
    let request = &api.received()[0];
    assert!(is_signed(request, CANARY), "{request:?}");
    assert!(!is_signed(request, "another key"), "{request:?}");
    assert_eq!(request.header("x-amz-security-token"), Some("the-session"));
    let authorization = request.header("authorization").expect("a signature");
    let scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/";
    assert!(authorization.starts_with(scope), "{authorization}");
    assert!(authorization.contains("/eu-central-1/execute-api/aws4_request"), "{authorization}");
    for text in [&output.stdout, &output.stderr] {
        is_untold("what is printed", text);
        assert!(!text.contains("the-session"), "{text}");
    }
}
