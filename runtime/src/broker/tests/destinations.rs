//! Every destination of `testdata/destinations.txt`, sent the way that a guest's request goes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::network::Network;
use super::*;

const DESTINATIONS: &str = include_str!("../testdata/destinations.txt");

/// One line of the file.
#[derive(Debug, Default)]
struct Destination {
    #[expect(dead_code, reason = "read by Debug, in the message of a failed case")]
    line: usize,
    verdict: String,
    policy: String,
    url: String,
    name: Option<(String, Vec<IpAddr>)>,
    reason: String,
}

/// What became of a request.
#[derive(Debug)]
struct Fate {
    verdict: &'static str,
    text: String,
    asked: Vec<String>,
    dialled: Vec<String>,
}

#[tokio::test(start_paused = true)]
async fn every_destination_gets_its_verdict_and_what_is_refused_is_not_dialled() {
    let (policies, destinations) = read(DESTINATIONS);
    assert!(destinations.len() >= 300, "{} destinations", destinations.len());
    let mut wrong = Vec::new();
    for destination in &destinations {
        let fate = send(destination, policies[&destination.policy].clone()).await;
        if !is_as_expected(destination, &fate) {
            wrong.push(format!("{destination:?}\n    {fate:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} destinations went wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_policy_of_the_file_is_put_to_the_test() {
    let (policies, destinations) = read(DESTINATIONS);
    for name in policies.keys() {
        assert!(destinations.iter().any(|one| &one.policy == name), "{name} is not used");
    }
}

/// The spellings of an IPv4 address that one parser or another takes for it.
fn spellings(address: Ipv4Addr) -> Vec<String> {
    let ([a, b, c, d], all) = (address.octets(), address.to_bits());
    let (last_three, last_two) = (all & 0xff_ffff, all & 0xffff);
    let text = address.to_string();
    let full_width = |character: char| match character.to_digit(10) {
        Some(digit) => char::from_u32(0xff10 + digit).expect("a full-width digit"),
        None => '。',
    };
    vec![
        text.clone(),
        format!("{text}."),
        format!("{all}"),
        format!("{all:#x}"),
        format!("0{all:o}"),
        format!("{a}.{last_three}"),
        format!("{a:#x}.{last_three:#X}."),
        format!("{a}.{b}.{last_two}"),
        format!("0{a:o}.{b}.0{last_two:o}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("000{a:o}.0x00{b:x}.{c}.{d:#X}"),
        text.bytes().map(|byte| format!("%{byte:02x}")).collect(),
        text.chars().map(full_width).collect(),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_special_address_is_refused_in_every_spelling() {
    let policy = Policy::parse(&["http://*".into()], &[]).expect("grants");
    for address in [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "169.254.170.23",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.0.1",
        "198.19.255.255",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        for spelling in spellings(address.parse().expect(address)) {
            let destination = Destination {
                url: format!("http://{spelling}/"),
                verdict: "denied".into(),
                reason: format!("{address} is "),
                ..Destination::default()
            };
            let fate = send(&destination, policy.clone()).await;
            assert!(is_as_expected(&destination, &fate), "{spelling}: {fate:?}");
        }
    }
}

/// The whole path: parse → policy → look-up → judge → dial.
async fn send(destination: &Destination, policy: Policy) -> Fate {
    let names = destination.name.clone().into_iter().collect();
    let network = Arc::new(Network { names, ..Network::default() });
    let broker = Broker::with_resolver(setup(policy, Events::default()), network.clone());
    let url = destination.url.clone();
    let request = Request { method: "GET".into(), url, attempts: Some(1), ..Request::default() };
    let scope = Scope {
        call: None,
        deadline: Instant::now() + Duration::from_secs(60),
        vault: Arc::default(),
        allowance: Arc::default(),
    };
    let error = broker.send(request, &scope).await.expect_err("nothing connects");
    Fate {
        verdict: verdict(&error),
        text: error.to_string(),
        asked: network.asked.lock().clone(),
        dialled: network.dialled(),
    }
}

fn verdict(error: &Error) -> &'static str {
    match error {
        Error::InvalidRequest(_) => "invalid",
        Error::Denied(_) => "denied",
        // Nothing connects here: the guard let it go as far as the dial.
        Error::Connect(_) => "allowed",
        _ => "neither",
    }
}

fn is_as_expected(destination: &Destination, fate: &Fate) -> bool {
    let asked: Vec<_> = destination.name.iter().map(|(name, _)| name.clone()).collect();
    let with_reason = match fate.verdict {
        "allowed" => fate.dialled.join(" ") == destination.reason,
        _ => fate.dialled.is_empty() && fate.text.contains(&destination.reason),
    };
    fate.verdict == destination.verdict && fate.asked == asked && with_reason
}

/// The policies by name, and the destinations.
fn read(file: &str) -> (BTreeMap<String, Policy>, Vec<Destination>) {
    let (mut policies, mut destinations) = (BTreeMap::new(), Vec::new());
    for (at, line) in file.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(policy) = line.strip_prefix("policy ") {
            let (name, flags) = policy.split_once(' ').unwrap_or((policy, ""));
            policies.insert(name.into(), read_policy(flags));
        } else {
            destinations.push(read_destination(at + 1, line));
        }
    }
    (policies, destinations)
}

fn read_policy(flags: &str) -> Policy {
    let words: Vec<_> = flags.split_whitespace().collect();
    let of = |flag| {
        let pairs = words.chunks(2).filter(move |pair| pair[0] == flag);
        pairs.map(|pair| pair[1].to_owned()).collect::<Vec<_>>()
    };
    let (allow, private) = (of("--allow"), of("--allow-private"));
    assert_eq!((allow.len() + private.len()) * 2, words.len(), "flags and origins: {flags}");
    Policy::parse(&allow, &private).expect("grants")
}

fn read_destination(line: usize, text: &str) -> Destination {
    let columns: Vec<_> = text.splitn(5, " | ").map(|column| column.trim_matches(' ')).collect();
    let [verdict, policy, url, name, reason] = columns[..] else { panic!("line {line}: {text}") };
    let addresses = |list: &str| list.split(',').map(|text| text.parse().expect(text)).collect();
    Destination {
        line,
        verdict: verdict.into(),
        policy: policy.into(),
        url: unescaped(url),
        name: name.split_once('=').map(|(name, list)| (name.into(), addresses(list))),
        reason: reason.into(),
    }
}

fn unescaped(text: &str) -> String {
    let mut characters = text.chars();
    let mut out = String::new();
    while let Some(character) = characters.next() {
        out.push(match character {
            '\\' => escaped(&mut characters),
            other => other,
        });
    }
    out
}

fn escaped(characters: &mut std::str::Chars<'_>) -> char {
    match characters.next() {
        Some('\\') => '\\',
        Some('t') => '\t',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('u') => {
            let code: String = characters.by_ref().skip(1).take_while(|&one| one != '}').collect();
            let code = u32::from_str_radix(&code, 16).expect("a hexadecimal number");
            char::from_u32(code).expect("a character")
        }
        other => panic!("no escape: \\{other:?}"),
    }
}
