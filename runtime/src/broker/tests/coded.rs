//! Compressed answers on their whole way: asked for, decoded, searched for secrets, and counted.

use http_body_util::BodyExt as _;

use super::decode::encoded;
use super::stage::{SECRET, Stage, ask, with_header};
use super::*;

const GRANTS: &str = r#"
[[grant]]
origin = "http://a.internal"
private = true
[[grant]]
origin = "http://b.internal"
private = true
credential = "api"
"#;

const CREDENTIAL: &str = "[credentials.api]\ntype = \"bearer\"\ntoken = \"the-token-of-the-api\"\n";

const URL: &str = "http://a.internal/x";
const READ: &str = "gzip, br, zstd";

async fn packed(coding: &str, text: &str) -> (Step, u64) {
    let body = encoded(coding, text.as_bytes()).await;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (Step::Bytes([head.as_bytes(), &body].concat()), body.len() as u64)
}

/// Makes a request in either way, and gives the header and the body of its answer.
async fn fetch(
    stage: &Stage,
    request: Request,
    is_streamed: bool,
) -> Result<(http::HeaderMap, Bytes), Error> {
    if is_streamed {
        let answer = stage.open(request, None).await?;
        return Ok((answer.headers, answer.body.collect().await?.to_bytes()));
    }
    let answer = stage.send(request).await?;
    Ok((answer.headers, answer.body))
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_decoded_and_counted_as_it_came_and_as_it_was() {
    let text = "some text ".repeat(1000);
    for coding in ["gzip", "br", "zstd"] {
        let (step, length) = packed(coding, &text).await;
        for (is_sealed, is_streamed) in [(false, false), (false, true), (true, false), (true, true)]
        {
            let mut stage = Stage::scripted(GRANTS, [step.clone()]).await;
            if is_sealed {
                stage = stage.sealed();
            }
            let (headers, body) = fetch(&stage, ask("GET", URL), is_streamed).await.expect(coding);
            assert_eq!(body, text, "{coding}");
            assert!(!headers.contains_key("content-encoding"), "{coding}: {headers:?}");
            assert!(!headers.contains_key("content-length"), "{coding}: {headers:?}");
            assert_eq!(stage.last().header("accept-encoding"), Some(READ));
            let record = stage.scene.record();
            assert_eq!(record.bytes_in, length, "{coding}");
            assert_eq!(record.attempts[0].bytes_in, length, "{coding}");
            assert_eq!(record.bytes_decoded, Some(text.len() as u64), "{coding}");
            assert_eq!((record.status, record.error), (Some(200), None));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_found_within_what_was_compressed() {
    let text = format!("{} {SECRET} and the-token-of-the-api {}", "x".repeat(9999), "y".repeat(99));
    for coding in ["gzip", "br", "zstd"] {
        let (step, length) = packed(coding, &text).await;
        for is_streamed in [false, true] {
            let settings = format!("{GRANTS}{CREDENTIAL}");
            let mut stage = Stage::scripted(&settings, [step.clone()]).await.sealed();
            let outcome = fetch(&stage, ask("GET", URL), is_streamed).await;
            let clean = text
                .replace(SECRET, &stage.placeholder())
                .replace("the-token-of-the-api", "aloma-sealed-token");
            assert_eq!(outcome.expect(coding).1, clean, "{coding}");
            assert_eq!(stage.scene.record().bytes_in, length, "{coding}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_guest_chooses_the_coding_only_where_there_is_nothing_to_be_found() {
    let (step, length) = packed("gzip", "some text").await;
    let own = || with_header(ask("GET", URL), "accept-encoding", "gzip");
    for is_streamed in [false, true] {
        let mut stage = Stage::scripted(&GRANTS.replace("credential", "#"), [step.clone()]).await;
        let (headers, body) = fetch(&stage, own(), is_streamed).await.expect("an answer");
        assert_eq!(stage.last().header("accept-encoding"), Some("gzip"));
        assert_eq!(
            (&headers["content-encoding"], body.len() as u64),
            (&"gzip".parse().unwrap(), length)
        );
        let record = stage.scene.record();
        assert_eq!((record.bytes_in, record.bytes_decoded), (length, None));
        // With a secret in the vault, and with a credential, whether it goes along or not.
        let settings = format!("{GRANTS}{CREDENTIAL}");
        for (settings, url, is_sealed) in [
            (&*GRANTS.replace("credential", "#"), URL, true),
            (&*settings, "http://b.internal/", false),
            (&*settings, URL, false),
        ] {
            let mut stage = Stage::scripted(settings, [step.clone()]).await;
            if is_sealed {
                stage = stage.sealed();
            }
            let request = Request { url: url.into(), ..own() };
            let (_, body) = fetch(&stage, request, is_streamed).await.expect("an answer");
            assert_eq!(stage.last().header("accept-encoding"), Some(READ), "{url}");
            assert_eq!(body, "some text", "{url}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_kept_back_where_a_secret_was_sent() {
    let step = answer(200, "content-encoding: lzma\r\n", "packed");
    for is_streamed in [false, true] {
        let mut stage = Stage::scripted(GRANTS, [step.clone(), step.clone()]).await.sealed();
        let (headers, body) = fetch(&stage, ask("GET", URL), is_streamed).await.expect("no secret");
        assert_eq!(
            (&headers["content-encoding"], &*body),
            (&"lzma".parse().unwrap(), &b"packed"[..])
        );
        assert_eq!(stage.scene.record().bytes_decoded, None, "it was not decoded");
        let request = with_header(ask("GET", URL), "x-key", stage.placeholder());
        let error = fetch(&stage, request, is_streamed).await.expect_err("kept back");
        let text = "http://a.internal compressed its answer in a way that was not asked for";
        assert!(matches!(&error, Error::Credential(told) if told.starts_with(text)), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_body_needs_no_decoding_and_keeps_its_length() {
    for (method, status, fields) in [
        ("HEAD", 200, "content-length: 100\r\ncontent-encoding: gzip\r\n"),
        ("HEAD", 200, "content-length: 100\r\ncontent-encoding: lzma\r\n"),
        ("GET", 204, "content-encoding: gzip\r\n"),
        ("GET", 304, "content-encoding: gzip\r\netag: \"1\"\r\n"),
        ("GET", 304, "content-length: 100\r\ncontent-encoding: lzma\r\n"),
    ] {
        let step = Step::Answer(format!("HTTP/1.1 {status} X\r\n{fields}\r\n"));
        for is_streamed in [false, true] {
            let mut stage = Stage::scripted(GRANTS, [step.clone()]).await.sealed();
            let request = with_header(ask(method, URL), "x-key", stage.placeholder());
            let outcome = fetch(&stage, request, is_streamed).await;
            let (headers, body) =
                outcome.unwrap_or_else(|error| panic!("{method} {fields}: {error}"));
            assert!(body.is_empty());
            if method == "HEAD" {
                assert_eq!(headers["content-length"], "100", "{fields}");
            }
            let record = stage.scene.record();
            assert_eq!((record.status, record.error, record.bytes_in), (Some(status), None, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_answer_that_swells_is_refused_and_not_asked_for_again() {
    let (step, _) = packed("gzip", &"\0".repeat(limit(Limit::AnswerBody) + 1)).await;
    let stage = Stage::scripted(GRANTS, [step]).await;
    let error = fetch(&stage, ask("GET", URL), false).await.expect_err("too large");
    let text = "an answer of more than 32 MiB, the limit; raise it with answer-mib in [limits]; it \
        came from http://a.internal, unpacked";
    let breach = Limits::default().breach(Limit::AnswerBody);
    assert_eq!(error, Error::Breach(breach, text.into()));
    assert_eq!(stage.scene.server.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_compressed_answer_that_is_broken_is_asked_for_again_where_that_is_safe() {
    let bytes = encoded("gzip", b"some text").await;
    let cut = &bytes[..bytes.len() - 5];
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        cut.len()
    );
    let step = Step::Bytes([head.as_bytes(), cut].concat());
    for (method, reads) in [("GET", 2), ("POST", 1)] {
        let stage = Stage::scripted(GRANTS, [step.clone()]).await;
        let outcome = fetch(&stage, ask(method, URL), false).await;
        assert_eq!(stage.scene.server.reads(), reads, "{method}");
        match (method, outcome) {
            ("GET", Ok((_, body))) => assert_eq!(body, "ok"),
            ("POST", Err(Error::Interrupted(text))) => {
                assert!(text.contains("the request may have been carried out"), "{text}");
            }
            (_, outcome) => panic!("{method}: {outcome:?}"),
        }
    }
}
