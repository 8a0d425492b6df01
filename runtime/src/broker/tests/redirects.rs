//! Redirects, where a grant turns them on: every hop is a request like the first, and what was meant
//! for one server does not reach another.

use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};

use super::sealed::vault;
use super::stage::{SECRET, Stage, ask, line, with_header};
use super::*;
use crate::broker::redirect::{self, Next};
use crate::broker::request::Parsed;

/// Two private servers and a public one.
const GRANTS: &str = r#"
[[grant]]
origin = "http://a.internal"
private = true
redirects = 3
[[grant]]
origin = "http://b.internal"
private = true
[[grant]]
origin = "http://gone.internal"
private = true
[[grant]]
origin = "http://hidden.example"
[[grant]]
origin = "http://*.google.internal"
private = true
"#;

const START: &str = "http://a.internal/start";

/// Redirects what asks for `/start`, and answers the rest.
async fn redirecting(settings: &str, status: u16, location: &str) -> Stage {
    let fields = format!("location: {location}\r\n");
    Stage::new(settings, move |seen| match line(seen).contains("a.internal/start") {
        true => answer(status, &fields, "elsewhere"),
        false => answer(200, "", "here"),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn redirects_are_followed_only_where_a_grant_says_so() {
    let off = GRANTS.replace("redirects = 3", "");
    let stage = redirecting(&off, 302, "/next").await;
    assert_eq!(status(&stage.send(ask("GET", START)).await), 302);
    assert_eq!(stage.lines(), ["GET http://a.internal/start"]);
    let mut stage = redirecting(GRANTS, 302, "/next").await;
    let answer = stage.send(ask("GET", START)).await.expect("an answer");
    assert_eq!((answer.status, &*answer.body), (200, &b"here"[..]));
    let record = stage.scene.record();
    assert_eq!(record.url, START);
    assert_eq!(record.hops, ["http://a.internal/next"]);
    assert_eq!((record.status, record.sent, record.attempts.len()), (Some(200), 2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_loop_ends_after_as_many_redirects_as_are_granted() {
    let mut stage = redirecting(GRANTS, 302, "/start").await;
    let last = stage.send(ask("GET", START)).await.expect("the last answer");
    assert_eq!((last.status, &last.headers["location"]), (302, &"/start".parse().unwrap()));
    assert_eq!(stage.scene.server.reads(), 4);
    assert_eq!(stage.scene.record().hops.len(), 3);
    // The grant of who redirects decides: that of b.internal allows none.
    let there = "http://b.internal/x";
    let stage =
        Stage::new(GRANTS, move |_| answer(302, &format!("location: {there}\r\n"), "")).await;
    assert_eq!(status(&stage.send(ask("GET", START)).await), 302);
    assert_eq!(stage.scene.server.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_method_and_the_body_follow_as_with_every_client() {
    for (status, method, followed) in [
        (301, "GET", "GET"),
        (301, "HEAD", "HEAD"),
        (301, "POST", "GET"),
        (301, "PUT", "PUT"),
        (302, "GET", "GET"),
        (302, "HEAD", "HEAD"),
        (302, "POST", "GET"),
        (302, "PUT", "PUT"),
        (303, "GET", "GET"),
        (303, "HEAD", "HEAD"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (307, "GET", "GET"),
        (307, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (307, "PUT", "PUT"),
        (308, "GET", "GET"),
        (308, "HEAD", "HEAD"),
        (308, "POST", "POST"),
        (308, "PUT", "PUT"),
    ] {
        let fields = "location: /next\r\n";
        let stage = Stage::new(GRANTS, move |seen| {
            let is_first = seen.head.contains("/start ");
            // Without a body: the server of these tests would send one also to HEAD.
            if is_first { answer(status, fields, "") } else { answer(200, "", "") }
        })
        .await;
        let request = with_header(ask(method, START), "content-type", "text/plain");
        let request = with_header(request, "content-language", "en");
        assert_eq!(super::status(&stage.send(request).await), 200, "{status} {method}");
        let seen = stage.last();
        assert_eq!(line(&seen), format!("{followed} http://a.internal/next"), "{status} {method}");
        let keeps_body = matches!(followed, "POST" | "PUT");
        assert_eq!(seen.body, if keeps_body { "body" } else { "" }, "{status} {method}");
        // A GET that stays one keeps its fields.
        let keeps_fields = followed == method;
        for name in ["content-type", "content-language"] {
            let is_there = seen.header(name).is_some();
            let was_dropped = !keeps_fields || (status == 303 && method == "GET");
            assert_eq!(is_there, !was_dropped, "{status} {method} {name}");
        }
        let length = seen.header("content-length");
        assert_eq!(length, keeps_body.then_some("4"), "{status} {method}");
    }
    for status in [300, 304, 305, 306] {
        let stage = redirecting(GRANTS, status, "/next").await;
        // An answer with 304 has no body, and this server sends one.
        let outcome = stage.send(Request { attempts: Some(1), ..ask("GET", START) }).await;
        assert_eq!(super::status(&outcome), status);
        assert_eq!(stage.scene.server.reads(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_read_beside_the_one_that_was_asked() {
    for (location, expected) in [
        ("next", "a.internal/dir/next"),
        ("/next", "a.internal/next"),
        ("../next", "a.internal/next"),
        ("?x=1", "a.internal/dir/start?x=1"),
        ("", "a.internal/dir/start?query"),
        ("#part", "a.internal/dir/start?query"),
        ("//b.internal/y", "b.internal/y"),
        ("http://b.internal/y?z#part", "b.internal/y?z"),
        ("HTTP:\\\\B.internal\\y", "b.internal/y"),
        ("http:next", "a.internal/dir/next"),
    ] {
        let fields = format!("location: {location}\r\n");
        let stage = Stage::scripted(GRANTS, [answer(302, &fields, "")]).await;
        let url = "http://a.internal/dir/start?query";
        assert_eq!(status(&stage.send(ask("GET", url)).await), 200, "{location}");
        assert_eq!(line(&stage.last()), format!("GET http://{expected}"), "{location}");
    }
    let stage = Stage::scripted(GRANTS, [answer(302, "", "")]).await;
    assert_eq!(status(&stage.send(ask("GET", START)).await), 302, "no location");
}

#[tokio::test(start_paused = true)]
async fn where_a_request_may_not_go_a_redirect_does_not_take_it() {
    let refused = "http://a.internal redirects to a URL that is refused: ";
    let after = "after a redirect by http://a.internal: ";
    for (location, by, text) in [
        ("http://me:pw@a.internal/", refused, "the URL holds a user name"),
        ("ftp://a.internal/", refused, "the URL begins with ftp:, not with http"),
        ("file:///etc/passwd", refused, "the URL begins with file:, not with http"),
        ("http://a.internal:0/", refused, "the URL's port is 0"),
        ("http://", "http://a.internal redirects to ", "something that is no URL"),
        ("/\u{e9}", "http://a.internal redirects to ", "something that is no text"),
        ("https://other.example/", after, "https://other.example is not granted; allow it with"),
        ("http://a.internal:81/", after, "http://a.internal:81 is not granted; allow it with"),
        ("http://10.0.0.9/", after, "http://10.0.0.9 is not granted; allow it with"),
        ("http://2130706433/", after, "http://127.0.0.1 is not granted; allow it with"),
        ("http://hidden.example/", after, "hidden.example (10.0.0.7) is a private address"),
        ("http://169.254.169.254/latest", after, "http://169.254.169.254 is not granted"),
        ("http://metadata.google.internal/", after, "metadata.google.internal (169.254.169.254)"),
    ] {
        for status in [302, 307] {
            let mut stage = redirecting(GRANTS, status, location).await;
            let error = stage.send(ask("POST", START)).await.expect_err(location);
            let told = error.to_string();
            assert!(told.starts_with(by), "{location}: {told}");
            assert!(told.contains(text), "{location}: {told}");
            let is_guests = matches!(error, Error::Denied(_) | Error::InvalidRequest(_));
            assert!(is_guests, "{location}: {error:?}");
            assert_eq!(stage.network.dialled(), ["10.0.0.1:80"], "{location}");
            let record = stage.scene.record();
            assert_eq!((record.status, stage.scene.server.reads()), (None, 1), "{location}");
            assert_eq!(record.error.as_deref(), Some(&*told), "{location}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_after_a_redirect_does_not_say_that_nothing_was_sent() {
    for streamed in [false, true] {
        let stage = redirecting(GRANTS, 303, "http://gone.internal/").await;
        let request = ask("POST", START);
        let error = if streamed {
            stage.open(request, None).await.err()
        } else {
            stage.send(request).await.err()
        };
        let text = "after a redirect by http://a.internal: cannot find gone.internal: no such name";
        assert_eq!(error, Some(Error::Interrupted(text.into())));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_meant_for_one_server_is_not_for_another() {
    for (location, is_kept) in [("http://b.internal/", false), ("/next", true)] {
        let stage = redirecting(GRANTS, 307, location).await.sealed();
        let mut request = ask("GET", START);
        for (name, value) in [
            ("authorization", "Bearer mine"),
            ("cookie", "session=1"),
            ("x-key", &*format!("key={}", stage.placeholder())),
            ("x-other", "other"),
        ] {
            request = with_header(request, name, value);
        }
        assert_eq!(status(&stage.send(request).await), 200, "{location}");
        let first = &stage.seen()[0];
        let key = format!("key={SECRET}");
        assert_eq!(first.header("x-key"), Some(&*key));
        let last = stage.last();
        for (name, value) in
            [("authorization", "Bearer mine"), ("cookie", "session=1"), ("x-key", &*key)]
        {
            assert_eq!(last.header(name), is_kept.then_some(value), "{location} {name}");
        }
        assert_eq!(last.header("x-other"), Some("other"), "{location}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_in_a_body_or_query_does_not_go_on_to_another_server() {
    for (method, location, what) in [
        ("POST", "http://b.internal/".to_owned(), "body"),
        // The server knows the value, and sends it where it likes.
        ("GET", format!("http://b.internal/?k={SECRET}"), "query"),
    ] {
        let mut stage = redirecting(GRANTS, 307, &location).await.sealed();
        let body = (method == "POST").then(|| format!("k={}", stage.placeholder()).into());
        let outcome = stage.send(Request { body, ..ask(method, START) }).await;
        let text = format!(
            "a redirect to http://b.internal is not followed, because its {what} holds a secret; \
             send it there yourself"
        );
        assert_eq!(outcome.expect_err("refused"), Error::Denied(text));
        assert_eq!(stage.scene.server.reads(), 1);
        assert!(!format!("{:?}", stage.scene.record()).contains(SECRET));
    }
    // Its own server may have it again, and the body goes where it holds none.
    let back = format!("/next?k={SECRET}");
    let stage = redirecting(GRANTS, 307, &back).await.sealed();
    assert_eq!(status(&stage.send(ask("POST", START)).await), 200);
    assert_eq!(stage.lines()[1], format!("POST http://a.internal{back}"));
    let stage = redirecting(GRANTS, 307, "http://b.internal/").await.sealed();
    assert_eq!(status(&stage.send(ask("POST", START)).await), 200);
    assert_eq!(stage.last().body, "body");
}

#[tokio::test(start_paused = true)]
async fn a_path_with_a_secret_is_not_followed_and_told_nowhere() {
    let text =
        "after a redirect by http://a.internal: the secret KEY is not sent in a host or path";
    for origin in ["", "http://b.internal"] {
        let location = format!("{origin}/{SECRET}/next");
        let mut stage = redirecting(GRANTS, 302, &location).await.sealed();
        let error = stage.send(ask("GET", START)).await.expect_err("refused").to_string();
        assert!(error.starts_with(text), "{error}");
        let record = format!("{:?}", stage.scene.record());
        assert!(!record.contains(SECRET) && !error.contains(SECRET), "{record} {error}");
    }
    // Where redirects are off, the guest sees a placeholder in the address.
    let stage = redirecting(&GRANTS.replace("redirects = 3", ""), 302, &format!("/{SECRET}")).await;
    let stage = stage.sealed();
    let answer = stage.send(ask("GET", START)).await.expect("an answer");
    assert_eq!(answer.headers["location"], format!("/{}", stage.placeholder()).as_str());
}

const CREDENTIALS: &str = r#"
[[grant]]
origin = "http://a.internal"
private = true
redirects = 3
[[grant]]
origin = "http://b.internal"
private = true
credential = "of-b"
[credentials.of-a]
type = "bearer"
token = "the-token-of-a"
[credentials.of-b]
type = "bearer"
token = "the-token-of-b"
[credentials.of-query]
type = "query"
name = "key"
value = "the-value-of-the-query"
"#;

#[tokio::test(start_paused = true)]
async fn a_redirect_of_one_server_sends_no_credential_to_another() {
    for (location, expected) in [
        ("/next", Some("Bearer the-token-of-a")),
        // Also not the one that the operator attached there: it is for what the connector asks of
        // that server, and this is asked by another one.
        ("http://b.internal/", None),
    ] {
        let stage = redirecting(CREDENTIALS, 307, location).await;
        let request = Request { credential: Some("of-a".into()), ..ask("POST", START) };
        assert_eq!(status(&stage.send(request).await), 200, "{location}");
        assert_eq!(stage.seen()[0].header("authorization"), Some("Bearer the-token-of-a"));
        assert_eq!(stage.last().header("authorization"), expected, "{location}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_in_the_query_is_put_in_anew_and_goes_nowhere_else() {
    let value = "the-value-of-the-query";
    let request = || Request { credential: Some("of-query".into()), ..ask("GET", START) };
    for (location, expected) in [
        (format!("/next?a=1&key={value}&b=2"), format!("/next?a=1&b=2&key={value}")),
        (format!("/next?key={value}"), format!("/next?key={value}")),
    ] {
        let stage = redirecting(CREDENTIALS, 302, &location).await;
        assert_eq!(status(&stage.send(request()).await), 200, "{location}");
        assert_eq!(stage.lines()[1], format!("GET http://a.internal{expected}"));
    }
    for location in [format!("http://b.internal/?key={value}"), format!("/{value}")] {
        let stage = redirecting(CREDENTIALS, 302, &location).await;
        let error = stage.send(request()).await.expect_err("refused").to_string();
        assert!(error.contains("a URL that holds a credential"), "{error}");
        assert!(!error.contains(value), "{error}");
        assert_eq!(stage.scene.server.reads(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_passes_through_is_sent_once() {
    for (status, expected, reads) in [(307, 307, 1), (308, 308, 1), (303, 200, 2), (302, 200, 2)] {
        let mut stage = redirecting(GRANTS, status, "/next").await;
        let body = Full::new(Bytes::from_static(b"passed")).map_err(|never| match never {});
        let upload = Upload::new(body, Some(6));
        let request = Request { body: None, ..ask("POST", START) };
        let answer = stage.open(request, Some(upload)).await.expect("an answer");
        assert_eq!(answer.status, expected, "{status}");
        answer.body.collect().await.expect("a body");
        assert_eq!(stage.scene.server.reads(), reads, "{status}");
        assert_eq!(stage.seen()[0].body, "passed", "{status}");
        if reads == 2 {
            assert_eq!(stage.lines()[1], "GET http://a.internal/next");
            assert_eq!(stage.last().body, "");
        }
        let record = stage.scene.record();
        assert_eq!((record.bytes_out, record.status), (6, Some(expected)), "{status}");
        assert_eq!(record.error, None);
    }
}

#[test]
fn from_https_to_http_is_to_another_server() {
    let vault = vault(&[("KEY", SECRET)]);
    let key = vault.visible("KEY").expect("a secret").to_owned();
    let next = |location: &str, body: Option<Bytes>| {
        let request = with_header(ask("PUT", "https://one.example/"), "authorization", "mine");
        let request = with_header(request, "x-key", &key);
        let request = Request { credential: Some("api".into()), body, ..request };
        let parsed = Parsed::new(request, None, &Arc::default()).expect("a request");
        let headers = HeaderMap::from_iter([(http::header::LOCATION, location.parse().unwrap())]);
        redirect::next(&parsed, 307, &headers, &vault)
    };
    for (location, is_kept) in [
        ("http://one.example/", false),
        ("https://one.example:444/", false),
        ("https://x.one.example/", false),
        ("https://one.example/x", true),
        ("https://ONE.example:443/x", true),
    ] {
        let Ok(Next::Go(next)) = next(location, None) else { panic!("{location}") };
        assert_eq!(next.headers.contains_key("authorization"), is_kept, "{location}");
        assert_eq!(next.headers.contains_key("x-key"), is_kept, "{location}");
        assert_eq!(next.credential.is_some(), is_kept, "{location}");
    }
    let body = Some(Bytes::from(key.clone()));
    assert!(matches!(next("http://one.example/", body), Err(Error::Denied(_))));
}
