//! What is granted, what is refused, and what a refusal says.

use std::time::Duration;

use http::HeaderName;

use super::*;

fn policy(allow: &[&str], allow_private: &[&str]) -> Policy {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.into()).collect::<Vec<_>>();
    Policy::parse(&owned(allow), &owned(allow_private)).expect("grants")
}

/// The refusal of a URL whose host, if a name, has this address.
fn refusal(policy: &Policy, url: &str, address: &str) -> Option<String> {
    let permit = match policy.check(&Method::GET, &Url::parse(url).expect(url)) {
        Ok(permit) => permit,
        Err(refusal) => return Some(refusal.to_string()),
    };
    permit.judge(address.parse().expect(address)).err().map(|refusal| refusal.to_string())
}

#[test]
fn nothing_is_reachable_until_granted() {
    let nothing = Policy::default();
    for (url, private, origin) in [
        ("https://api.example.com/x?key=secret", false, "https://api.example.com"),
        ("http://api.example.com:8080/", false, "http://api.example.com:8080"),
        ("http://bücher.example/", false, "http://xn--bcher-kva.example"),
        ("http://8.8.8.8/", false, "http://8.8.8.8"),
        ("http://localhost:3000/", true, "http://localhost:3000"),
        ("http://127.0.0.1:3000/", true, "http://127.0.0.1:3000"),
        ("http://2130706433/", true, "http://127.0.0.1"),
        ("http://[::1]/", true, "http://[::1]"),
    ] {
        let expected = format!("{origin} is not granted; allow it with {}", grant(origin, private));
        assert_eq!(refusal(&nothing, url, "8.8.8.8"), Some(expected), "{url}");
    }
}

/// The flag and the lines that grant an origin.
fn grant(origin: &str, private: bool) -> String {
    let (flag, key) =
        if private { ("--allow-private", " private = true") } else { ("--allow", "") };
    format!("{flag} {origin}, or in connector.toml: [[grant]] origin = \"{origin}\"{key}")
}

#[test]
fn a_grant_reaches_its_origin_and_no_other() {
    let policy = policy(
        &["https://api.example.com", "https://*.wild.example", "http://odd.example:8080/"],
        &["http://db.internal:81"],
    );
    for (url, granted) in [
        ("https://api.example.com/", true),
        ("https://API.EXAMPLE.COM:443/deep?x", true),
        ("http://api.example.com/", false),
        ("https://api.example.com:8443/", false),
        ("https://api.example.com./", false),
        ("https://x.api.example.com/", false),
        ("https://api.example.com.evil.example/", false),
        ("https://evilapi.example.com/", false),
        ("https://a.wild.example/", true),
        ("https://a.b.wild.example/", true),
        ("https://wild.example/", false),
        ("https://evilwild.example/", false),
        ("https://.wild.example/", false),
        ("http://odd.example:8080/", true),
        ("http://odd.example/", false),
        ("http://db.internal:81/", true),
        ("http://db.internal/", false),
    ] {
        assert_eq!(refusal(&policy, url, "8.8.8.8").is_none(), granted, "{url}");
    }
}

#[test]
fn a_special_address_is_refused_by_name_and_prints_the_flag() {
    let policy = policy(
        &["https://api.internal", "http://*", "http://metadata.google.internal"],
        &["https://db.internal", "http://*.google.internal"],
    );
    let refused = |url, address, text: &str| {
        let (what, origin) = text.rsplit_once(' ').expect("an origin");
        let text = format!("{what} {}", grant(origin, true));
        assert_eq!(refusal(&policy, url, address), Some(text));
    };
    refused(
        "https://api.internal/",
        "10.0.0.7",
        "api.internal (10.0.0.7) is a private address (RFC 1918); \
         allow it with https://api.internal",
    );
    refused(
        "http://127.1/",
        "127.0.0.1",
        "127.0.0.1 is a loopback address; allow it with http://127.0.0.1",
    );
    refused(
        "http://[::ffff:10.0.0.1]/",
        "::1",
        "[::ffff:a00:1] is a private address (RFC 1918); \
         allow it with http://[::ffff:a00:1]",
    );
    refused(
        "http://169.254.169.254/latest/",
        "169.254.169.254",
        "169.254.169.254 is a cloud metadata address; \
         allow it with http://169.254.169.254",
    );
    refused(
        "https://db.internal/",
        "169.254.169.254",
        "db.internal (169.254.169.254) is a cloud metadata address; \
         name it by that address and allow it with https://169.254.169.254",
    );
    refused(
        "http://metadata.google.internal/",
        "169.254.169.254",
        "metadata.google.internal (169.254.169.254) is a cloud metadata address; \
         allow it with http://metadata.google.internal",
    );
    assert_eq!(refusal(&policy, "https://db.internal/", "10.0.0.7"), None);
    assert_eq!(refusal(&policy, "http://any.example/", "8.8.8.8"), None);
}

#[test]
fn cloud_metadata_is_granted_only_under_its_own_name() {
    for (grant, url, granted) in [
        ("http://169.254.169.254", "http://169.254.169.254/", true),
        ("http://169.254.169.254", "http://2852039166/", true),
        ("http://metadata.google.internal", "http://metadata.google.internal/", true),
        ("http://*.google.internal", "http://metadata.google.internal/", false),
        ("http://evil.example", "http://evil.example/", false),
    ] {
        let policy = policy(&[], &[grant]);
        let refusal = refusal(&policy, url, "169.254.169.254");
        assert_eq!(refusal.is_none(), granted, "{grant} {url} {refusal:?}");
    }
}

#[test]
fn a_grant_that_cannot_be_read_says_what_would_be_right() {
    let parse = |flag: &str, given: &str| {
        let given = [given.to_owned()];
        let parsed = match flag {
            ALLOW => Policy::parse(&given, &[]),
            _ => Policy::parse(&[], &given),
        };
        parsed.map(|_| ()).map_err(|error| error.to_string())
    };
    for (flag, given, expected) in [
        (ALLOW, "api.example.com", "https://api.example.com"),
        (ALLOW, "api.example.com/users", "https://api.example.com"),
        (ALLOW, "*.example.com", "https://*.example.com"),
        (ALLOW, "", "https://api.example.com"),
        (ALLOW, "*", "https://*"),
        (ALLOW, "https://api.example.com/v1", "https://api.example.com"),
        (ALLOW, "https://api.example.com?x", "https://api.example.com"),
        (ALLOW, "https://u:p@api.example.com", "https://api.example.com"),
        (ALLOW, "https://*.example.com/v1", "https://*.example.com"),
        (ALLOW, "https://*:8443/v1", "https://*:8443"),
        (ALLOW, "https://a.*.example.com", "https://*.example.com"),
        (ALLOW, "https://*.*.example.com", "https://*.example.com"),
        (ALLOW, "https://*example.com", "https://*.example.com"),
        (ALLOW, "https://*.10.0.0.1", "https://*.example.com"),
        (ALLOW, "https://api.example.com:0", "https://api.example.com"),
        (ALLOW, "https://", "https://api.example.com"),
        (ALLOW, "ftp://api.example.com", "https://api.example.com"),
        (ALLOW, "file:///etc", "https://api.example.com"),
        (ALLOW_PRIVATE, "https://*", "https://api.example.com"),
        (ALLOW_PRIVATE, "localhost:3000", "https://localhost:3000"),
    ] {
        let error = parse(flag, given).expect_err(given);
        let right = format!("write it like {flag} {expected}");
        assert!(error.starts_with(&format!("{flag} {given:?} is no origin: ")), "{error}");
        assert!(error.ends_with(&right), "{given}: {error}");
        assert!(parse(ALLOW, expected).is_ok(), "{expected}");
    }
}

/// A policy of the `[[grant]]` tables of a connector.toml.
fn of_file(text: &str) -> Policy {
    Policy::default().with_tables(&tables(text).expect(text), Path::new("/etc/aloma"))
}

fn tables(text: &str) -> Result<Vec<GrantTable>, toml::de::Error> {
    #[derive(Deserialize)]
    struct File {
        grant: Vec<GrantTable>,
    }
    toml::from_str(text).map(|file: File| file.grant)
}

fn check(policy: &Policy, request: &str) -> Result<Permit, String> {
    let (method, url) = request.split_once(' ').expect("a method and a URL");
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    policy.check(&method, &Url::parse(url).expect(url)).map_err(|refusal| refusal.to_string())
}

const NARROW: &str = r#"
    [[grant]]
    origin = "https://a.example"
    methods = ["GET", "head"]
    paths = ["/v1/", "/health"]

    [[grant]]
    origin = "https://a.example"
    methods = ["POST"]
    paths = ["/v1/users"]

    [[grant]]
    origin = "https://*.example"
    paths = ["/open"]
"#;

#[test]
fn a_grant_may_be_for_some_methods_and_paths() {
    let policy = of_file(NARROW);
    let line =
        |number: usize| format!("allow it by grant {number} in connector.toml: [[grant]] origin =");
    let dots = "holds a dot segment in disguise, which is in no path that is granted; send the path \
        that is meant";
    for (request, refusal) in [
        ("GET https://a.example/v1/users/7?x=1", None),
        ("HEAD https://a.example/v1", None),
        ("GET https://a.example/health", None),
        ("POST https://a.example/v1/users", None),
        ("DELETE https://a.example/open/x", None),
        ("GET https://b.example/open", None),
        (
            "GET https://a.example/v1x",
            Some(format!(
                r#"https://a.example/v1x is not granted; {} "https://a.example" methods = ["GET", "HEAD"] paths = ["/v1/", "/health", "/v1x"]"#,
                line(1)
            )),
        ),
        (
            "POST https://a.example/v1/groups",
            Some(format!(
                r#"POST to https://a.example is not granted; {} "https://a.example" methods = ["GET", "HEAD", "POST"] paths = ["/v1/", "/health"]"#,
                line(1)
            )),
        ),
        (
            "DELETE https://a.example/v1/users/7",
            Some(format!(
                r#"DELETE to https://a.example is not granted; {} "https://a.example" methods = ["GET", "HEAD", "DELETE"] paths = ["/v1/", "/health"]"#,
                line(1)
            )),
        ),
        (
            "PUT https://a.example/v2/x*",
            Some(format!(
                r#"https://a.example/v2/x%2A is not granted; {} "https://*.example" paths = ["/open", "/v2/x%2A"]"#,
                line(3)
            )),
        ),
        (
            "GET https://a.example/v1/..%2Fadmin",
            Some(format!("https://a.example/v1/..%2Fadmin {dots}")),
        ),
    ] {
        assert_eq!(check(&policy, request).err(), refusal, "{request}");
    }
}

#[test]
fn a_long_path_is_cut_at_a_segment_in_a_refusal() {
    let policy = of_file("[[grant]]\norigin = 'https://a.example'\npaths = ['/v1']");
    let long = "x".repeat(500);
    for (path, shown) in
        [(format!("/v2/{long}/y"), "/v2/".to_owned()), (format!("/{long}/y"), format!("/{long}/y"))]
    {
        let refusal =
            check(&policy, &format!("GET https://a.example{path}")).expect_err("no grant");
        let start = format!("https://a.example{shown} is not granted; ");
        assert!(refusal.starts_with(&start), "{refusal}");
        assert!(refusal.ends_with(&format!("paths = [\"/v1\", \"{shown}\"]")), "{refusal}");
    }
}

/// Whoever copied the lines once lost `private` and the terms.
#[test]
fn the_lines_of_a_refusal_are_the_whole_grant() {
    const TERMS: &str = r#"private = true
        methods = ["GET", "POST"]
        paths = ["/v1/"]
        credential = "users-api"
        redirects = 3
        requests-per-second = 0.5
        burst = 20
        at-once = 4
        queue-seconds = 10
        timeout-seconds = 30
        attempts = 5
        first-pause-seconds = 0.5
        jitter = "decorrelated"
        idempotency-header = "idempotency-key"
        request-mib = 8
        answer-mib = 9
        client-certificate = { certificate = "c.pem", key = "keys/k.pem" }"#;
    let origin = "http://db.internal";
    let file =
        format!("[[grant]]\norigin = 'https://x.example'\n[[grant]]\norigin = '{origin}'\n{TERMS}");
    let refusal = check(&of_file(&file), &format!("GET {origin}/v2")).expect_err("not granted");
    let terms: Vec<_> = TERMS.lines().map(str::trim).collect();
    let wider = terms.join(" ").replace("[\"/v1/\"]", "[\"/v1/\", \"/v2\"]");
    let expected = format!(
        "{origin}/v2 is not granted; allow it by grant 2 in connector.toml: [[grant]] origin = \
         \"{origin}\" {wider}"
    );
    assert_eq!(refusal, expected);
}

#[test]
fn the_lines_of_a_refusal_allow_what_was_refused() {
    for request in [
        "GET https://a.example/v1x",
        "PUT https://a.example/v1/users",
        "PATCH https://a.example/v2/a//b/group%2Fproject/*",
        "GET http://localhost:3000/x",
        "GET https://c.test:8443/x y",
    ] {
        let policy = of_file(NARROW);
        let refusal = check(&policy, request).expect_err("not granted");
        let (_, lines) = refusal.split_once("in connector.toml: ").expect("lines");
        // One key a line, as people write it.
        let lines = ["origin", "private", "methods", "paths"]
            .iter()
            .fold(lines.to_owned(), |lines, key| {
                lines.replace(&format!(" {key} = "), &format!("\n{key} = "))
            });
        let allowed = check(&of_file(&lines), request);
        assert!(allowed.is_ok(), "{lines}: {allowed:?}");
    }
}

#[test]
fn of_several_grants_the_closest_sets_the_terms() {
    let policy = of_file(
        r#"
        [[grant]]
        origin = "https://*"
        redirects = 1
        [[grant]]
        origin = "https://*.b.example"
        redirects = 2
        [[grant]]
        origin = "https://*.a.b.example"
        redirects = 3
        [[grant]]
        origin = "https://x.a.b.example"
        redirects = 4
        [[grant]]
        origin = "https://x.a.b.example"
        redirects = 5
        [[grant]]
        origin = "https://x.a.b.example"
        paths = ["/"]
        redirects = 6
        [[grant]]
        origin = "https://x.a.b.example"
        paths = ["/v1/", "/v1/users/"]
        redirects = 7
        [[grant]]
        origin = "https://x.a.b.example"
        paths = ["/v1/"]
        methods = ["POST"]
        redirects = 8
        "#,
    );
    for (request, redirects, grant) in [
        ("GET https://c.example/", 1, "grant 1 (https://*)"),
        ("GET https://y.b.example/", 2, "grant 2 (https://*.b.example)"),
        ("GET https://y.a.b.example/", 3, "grant 3 (https://*.a.b.example)"),
        ("GET https://x.a.b.example/..%2F", 4, "grant 4 (https://x.a.b.example)"),
        ("GET https://x.a.b.example/v2", 6, "grant 6 (https://x.a.b.example)"),
        ("GET https://x.a.b.example/v1", 7, "grant 7 (https://x.a.b.example)"),
        ("POST https://x.a.b.example/v1", 8, "grant 8 (https://x.a.b.example)"),
        ("POST https://x.a.b.example/v1/users", 7, "grant 7 (https://x.a.b.example)"),
    ] {
        let permit = check(&policy, request).expect(request);
        assert_eq!(
            (permit.terms().redirects, &**permit.grant_id()),
            (redirects, grant),
            "{request}"
        );
    }
    let url = Url::parse("https://x.a.b.example/v1").expect("a URL");
    assert_eq!(policy.check_origin(&url).expect("granted").terms().redirects, 8);
}

#[test]
fn a_flag_adds_to_the_file_and_leaves_its_terms() {
    let tables = tables("[[grant]]\norigin = 'https://a.example'\nredirects = 3").expect("a grant");
    let flags = ["https://a.example".to_owned(), "https://b.example".to_owned()];
    let policy = Policy::parse(&flags, &[]).expect("grants").with_tables(&tables, Path::new(""));
    for (request, redirects, grant) in [
        ("GET https://a.example/", 3, "grant 1 (https://a.example)"),
        ("GET https://b.example/", 0, "--allow https://b.example"),
    ] {
        let permit = check(&policy, request).expect(request);
        assert_eq!(
            (permit.terms().redirects, &**permit.grant_id()),
            (redirects, grant),
            "{request}"
        );
    }
}

#[test]
fn every_key_of_a_grant_is_read() {
    let policy = of_file(
        r#"
        [[grant]]
        origin = "https://api.example.com"
        private = true
        methods = ["GET", "POST"]
        paths = ["/v1/"]
        credential = "users-api"
        redirects = 3
        requests-per-second = 10
        burst = 20
        at-once = 4
        queue-seconds = 10
        timeout-seconds = 30
        attempts = 5
        first-pause-seconds = 0.5
        jitter = "decorrelated"
        idempotency-header = "Idempotency-Key"
        request-mib = 8
        answer-mib = 9
        client-certificate = { certificate = "client.pem", key = "/run/client.key" }
        "#,
    );
    let permit = check(&policy, "GET https://api.example.com/v1/").expect("granted");
    assert!(permit.is_private());
    let expected = Terms {
        credential: Some("users-api".into()),
        redirects: 3,
        rate: Some(Rate { per_second: 10.0, burst: 20.try_into().expect("not zero") }),
        at_once: Some(4),
        queue: Some(Duration::from_secs(10)),
        timeout: Some(Duration::from_secs(30)),
        attempts: Some(5),
        first_pause: Some(Duration::from_millis(500)),
        jitter: Jitter::Decorrelated,
        idempotency_header: Some(HeaderName::from_static("idempotency-key")),
        request_bytes: Some(8 << 20),
        answer_bytes: Some(9 << 20),
        client_certificate: Some(ClientCertificate {
            certificate: "/etc/aloma/client.pem".into(),
            key: "/run/client.key".into(),
        }),
    };
    assert_eq!(**permit.terms(), expected);
    let policy = of_file("[[grant]]\norigin = 'https://a.example'\nrequests-per-second = 2.5");
    let terms = check(&policy, "GET https://a.example/").expect("granted").terms().clone();
    let burst = 3.try_into().expect("not zero");
    assert_eq!(terms.rate, Some(Rate { per_second: 2.5, burst }));
}

#[test]
fn what_is_wrong_in_a_grant_is_told() {
    for (line, says) in [
        ("redirects = 21", "21 is not between 0 and 20"),
        ("redirects = -1", "-1 is not between 0 and 20"),
        ("requests-per-second = 0", "0 is not between 0.001 and 10000"),
        ("requests-per-second = inf", "inf is not between 0.001 and 10000"),
        ("requests-per-second = nan", "NaN is not between 0.001 and 10000"),
        ("burst = 2", "burst goes with requests-per-second; add that key"),
        ("requests-per-second = 1\nburst = 0", "0 is not between 1 and 10000"),
        ("at-once = 0", "0 is not between 1 and 1024"),
        ("queue-seconds = 1801", "1801 is not between 0 and 1800"),
        ("timeout-seconds = 0", "0 is not between 0.001 and 1800"),
        ("attempts = 0", "0 is not between 1 and 10"),
        ("first-pause-seconds = 31", "31 is not between 0 and 30"),
        ("answer-mib = 0", "0 is not between 1 and 1048576"),
        ("request-mib = 9223372036854775807", "is not between 1 and 1048576"),
        ("jitter = \"full\"", "unknown variant `full`, expected `doubling` or `decorrelated`"),
        ("methods = []", "an empty list allows nothing; leave it out to allow all"),
        ("methods = [\"CONNECT\"]", "\"CONNECT\" is no method; write it like \"GET\""),
        ("methods = [\"GE T\"]", "\"GE T\" is no method; write it like \"GET\""),
        ("paths = [\"v1\"]", "\"v1\" is no path: it does not begin with /; write it like \"/v1/\""),
        ("paths = []", "an empty list allows nothing; leave it out to allow all"),
        (
            "idempotency-header = \"a b\"",
            "is no header for a key; write it like \"Idempotency-Key\"",
        ),
        ("idempotency-header = \"Content-Type\"", "is no header for a key"),
        ("idempotency-header = \"host\"", "is no header for a key"),
        ("idempotency-header = \"proxy-key\"", "is no header for a key"),
        ("client-certificate = { certificate = \"a\" }", "missing field `key`"),
        ("retries = 3", "unknown field `retries`, expected one of `origin`"),
    ] {
        let text = format!("[[grant]]\norigin = \"https://a.example\"\n{line}\n");
        let error = tables(&text).expect_err(line);
        assert!(error.message().contains(says), "{line}: {}", error.message());
    }
    for (text, says) in [
        ("[[grant]]", "missing field `origin`"),
        (
            "[[grant]]\norigin = \"a.example\"",
            "\"a.example\" is no origin: it does not begin with https:// or http://; write it like \
             \"https://a.example\"",
        ),
        (
            "[[grant]]\norigin = \"https://*\"\nprivate = true",
            "private hosts are granted by name, never all at once; write origin = \
             \"https://api.example.com\"",
        ),
    ] {
        let error = tables(text).expect_err(text);
        assert!(error.message().contains(says), "{text}: {}", error.message());
    }
}

#[test]
fn what_is_only_reported_reaches_public_addresses() {
    let granted = policy(&["https://a.example"], &["http://db.internal"]);
    let reporting = granted.clone().in_mode(Mode::Report);
    for (url, address, reached) in [
        ("https://a.example/", "8.8.8.8", true),
        ("https://b.example/", "8.8.8.8", true),
        ("http://b.example:81/", "2606:4700::1111", true),
        ("http://8.8.8.8/", "8.8.8.8", true),
        ("https://b.example/", "10.0.0.1", false),
        ("https://b.example/", "169.254.169.254", false),
        ("http://metadata.google.internal/", "169.254.169.254", false),
        ("http://127.0.0.1/", "127.0.0.1", false),
        ("http://169.254.169.254/latest/", "169.254.169.254", false),
        ("http://localhost/", "127.0.0.1", false),
        ("http://db.internal/", "10.0.0.1", true),
        ("http://db.internal:81/", "10.0.0.1", false),
    ] {
        assert_eq!(refusal(&reporting, url, address).is_none(), reached, "{url} {address}");
    }
    let url = |text: &str| Url::parse(text).expect(text);
    for of_b in ["https://b.example/x", "http://8.8.8.8/"] {
        let permit = check(&reporting, &format!("GET {of_b}")).expect("let through");
        let would = permit.would_refuse().map(ToString::to_string);
        assert_eq!(would, check(&granted, &format!("GET {of_b}")).err());
        assert!(would.is_some());
        assert_eq!(**permit.terms(), Terms::default());
        let guard = reporting.check_origin(&url(of_b)).expect("let through");
        assert!(guard.would_refuse().is_some());
    }
    let permit = check(&reporting, "GET https://a.example/").expect("granted");
    assert_eq!(permit.would_refuse(), None);
}

#[test]
fn what_is_only_reported_reaches_no_private_origin_that_is_granted_in_part() {
    let text = "[[grant]]\norigin = 'http://10.0.0.1'\nprivate = true\nmethods = ['GET']\n\
        paths = ['/health']\n\
        [[grant]]\norigin = 'http://db.internal'\nprivate = true\nmethods = ['GET']\n\
        [[grant]]\norigin = 'https://a.example'\nmethods = ['GET']";
    let reporting = of_file(text).in_mode(Mode::Report);
    for (request, is_let_through) in [
        ("GET http://10.0.0.1/health", true),
        ("POST http://10.0.0.1/health", false),
        ("GET http://10.0.0.1/admin", false),
        ("GET http://db.internal/", true),
        ("DELETE http://db.internal/", false),
        ("POST https://a.example/", true),
    ] {
        assert_eq!(check(&reporting, request).is_ok(), is_let_through, "{request}");
    }
}

#[test]
fn what_is_only_reported_carries_no_secret() {
    let reporting = of_file(NARROW).in_mode(Mode::Report);
    for (request, carries) in [
        ("GET https://a.example/v1", true),
        ("PUT https://a.example/v1", false),
        ("GET https://a.example/v2", false),
        ("GET https://other.test/", false),
    ] {
        let permit = check(&reporting, request).expect("let through");
        let (_, url) = request.split_once(' ').expect("a URL");
        let url = Url::parse(url).expect(url);
        assert_eq!(permit.may_carry("it", &url).is_ok(), carries, "{request}");
        let refusal = reporting.may_carry("KEY", &url, &permit).err();
        assert_eq!(refusal.is_none(), carries, "{request}");
        let starts = "the secret KEY is not sent where nothing is granted, also while the policy only \
            reports: ";
        assert!(refusal.is_none_or(|text| text.to_string().starts_with(starts)), "{request}");
    }
}

#[test]
fn asks_are_held_against_the_grants() {
    let policy = of_file(NARROW);
    let policy = Policy {
        grants: [policy.grants, self::policy(&["https://*.w.test"], &[]).grants].concat(),
        ..policy
    };
    for (asked, standing) in [
        ("https://x.w.test", Some(Standing::Granted)),
        ("https://*.x.w.test", Some(Standing::Granted)),
        ("https://w.test", Some(Standing::NotGranted)),
        ("https://*.test", Some(Standing::InPart)),
        ("https://a.example", Some(Standing::InPart)),
        ("http://a.example", Some(Standing::NotGranted)),
        ("{{BASE_URL}}", None),
    ] {
        assert_eq!(policy.standing(asked), standing, "{asked}");
    }
}
