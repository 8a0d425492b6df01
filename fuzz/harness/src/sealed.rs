//! Sealed values: what was sealed opens as it was, and nothing else opens.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aloma_wasm::manifest::{Field, FieldKind};
use aloma_wasm::workspace::keys::{KeyPair, PublicKey};
use aloma_wasm::workspace::sealing::{SealError, seal};
use aloma_wasm::workspace::{Secrets, configuration};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use crate::given::Given;

/// Keys and values that another implementation made.
static JOSE: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../runtime/src/workspace/testdata/jose.json");
    serde_json::from_str(text).expect("the test data is JSON")
});

static KEYS: LazyLock<KeyPair> = LazyLock::new(|| {
    let text = |key: &str| JOSE[key].as_str().expect("a key").to_owned();
    KeyPair::from_env(&text("private").into(), &text("public")).expect("a pair of keys")
});

const AUDIENCE: &str = "1234";
const SECRET: &str = "s3cret-that-nobody-may-read";
/// So many characters of a key are more than an accident.
const SHOWN: usize = 16;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// The first byte says what the others are.
pub fn sealed(data: &[u8]) {
    let mut given = Given::new(data);
    match given.byte() {
        b'o' => opens(&given.rest_text()),
        b's' => comes_back(&mut given),
        b'c' => configures(&mut given),
        b'k' => reads_keys(&mut given),
        _ => opens(&String::from_utf8_lossy(data)),
    }
}

/// Any text. Only the values that the other side sealed with these keys can be opened.
fn opens(text: &str) {
    if KEYS.open(text, AUDIENCE, now()).is_ok() {
        let known = JOSE["tokens"].as_object().expect("tokens");
        assert!(known.values().any(|token| token == text.trim()), "opened what was never sealed");
    }
}

/// A name, a place and a change, and a value: as JSON where it is some, else as text.
fn comes_back(given: &mut Given) {
    let (audience, place, change) = (given.text(), given.number(), given.byte());
    let text = given.rest_text();
    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    let jwe = match seal(&value, &audience, KEYS.public()) {
        Ok(jwe) => jwe,
        Err(SealError::TooLarge) => return,
        Err(error) => panic!("{error}"),
    };
    let open = |jwe: &str, audience: &str| KEYS.open(jwe, audience, SystemTime::now());
    let opened = open(&jwe, &audience).expect("what was sealed opens");
    assert_eq!(opened.into_json().expose_secret(), value.to_string());
    assert!(open(&jwe, &format!("{audience}x")).is_err(), "opened for another connector");
    let altered = altered(&jwe, place, change);
    assert!(open(&altered, &audience).is_err(), "opened after a change");
}

/// The text with another character in one place.
fn altered(jwe: &str, place: u64, change: u8) -> String {
    let mut bytes = jwe.as_bytes().to_vec();
    let at = usize::try_from(place % bytes.len() as u64).expect("a place in the text");
    // What is not in the text itself would be refused at the first look.
    let other = jwe.as_bytes()[usize::from(change) % bytes.len()];
    bytes[at] = if other == bytes[at] { bytes[at] ^ 1 } else { other };
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Values of a configuration. What cannot be opened is told without its value.
fn configures(given: &mut Given) {
    let key = given.text();
    let fields = [field("plain", true), field("secret", false)];
    let value = given.rest_text();
    let mut secrets: Map<String, Value> = serde_json::from_str(&value).unwrap_or_default();
    let texts = [format!("{SECRET}{value}"), format!("{value}{SECRET}"), SECRET.into()];
    for (at, text) in texts.into_iter().enumerate() {
        secrets.insert(format!("{key}{at}"), text.into());
    }
    secrets.insert("secret".into(), SECRET.into());
    let count = secrets.len();
    let secrets = Value::Object(secrets).to_string();
    let secrets: Secrets = serde_json::from_str(&secrets).expect("an object is one of values");
    for keys in [None, Some(&*KEYS)] {
        let opened = configuration::open(&secrets, &fields, keys, AUDIENCE, now());
        assert!(opened.values.len() + opened.problems.len() <= count + 1);
        let told = format!("{:?} {opened:?}", opened.problems);
        assert!(!told.contains(SECRET) || value.contains(SECRET) || key.contains(SECRET), "{told}");
    }
}

/// Whether a text stands in what is told of a variable that holds nothing at all.
fn told_anyway(part: &str) -> bool {
    let wrong = ["", "x", "-----BEGIN X-----\n-----END X-----"];
    let told = wrong.map(|text| KeyPair::from_env(&text.into(), text).err());
    told.iter().flatten().any(|error| error.to_string().contains(part))
}

fn field(key: &str, plain: bool) -> Field {
    Field {
        key: key.into(),
        name: key.into(),
        kind: FieldKind::Line,
        description: None,
        placeholder: None,
        height: None,
        optional: true,
        plain,
    }
}

/// Keys as people paste them. What is wrong with them is told without showing them.
fn reads_keys(given: &mut Given) {
    let (at, text) = (given.number(), given.rest_text());
    let private = JOSE["private"].as_str().expect("a key");
    let at = private.floor_char_boundary(usize::try_from(at).unwrap_or(usize::MAX));
    let pasted = format!("{}{text}{}", &private[..at], &private[at..]);
    for (private, public) in [(&*text, &*text), (&pasted, KEYS.public_env()), (private, &text)] {
        let Err(error) = KeyPair::from_env(&private.into(), public) else { continue };
        let error = error.to_string();
        let mut shown = private.as_bytes().windows(SHOWN).map(String::from_utf8_lossy);
        let is_shown = shown.any(|part| error.contains(&*part) && !told_anyway(&part));
        assert!(!is_shown, "{error}");
    }
    if let Ok(key) = PublicKey::from_env(&text) {
        let again = PublicKey::from_env(key.env()).expect("a key that was read can be read again");
        assert_eq!(again.env(), key.env());
    }
}
