//! `connector.toml`: any text is read or refused, and what is said of it shows no value of `[config]`.

use std::path::Path;

use aloma_wasm::broker::Policy;
use aloma_wasm::settings::file::File;

use crate::given::Given;

const SECRET: &str = "s3cret-that-nobody-may-read";

/// How a value can be written, right or wrong. `$` stands for what the fuzzer gives.
const FORMS: [&str; 12] = [
    "\"SECRET$\"",
    "'$SECRET'",
    "\"\"\"\nSECRET\n$\"\"\"",
    "'''\n$\n[SECRET] more\n'''",
    "[\"SECRET\", $]",
    "[\n[\"SECRET\"], $\n]",
    "[\n\"SECRET\", { a = 1, a = $ }\n]",
    "{ env = \"SECRET\", $ }",
    "{ file = \"SECRET\" $",
    "SECRET$",
    "\"SECRET\" $",
    "{ text = \"SECRET$\" }",
];

/// The first byte says what the others are: the form of a value, or all of a file.
pub fn settings(data: &[u8]) {
    let mut given = Given::new(data);
    let form = usize::from(given.byte().wrapping_sub(b'a'));
    match FORMS.get(form) {
        Some(form) => keeps_quiet(form, &given.rest_text()),
        None => reads(&String::from_utf8_lossy(data)),
    }
}

fn reads(text: &str) {
    let Ok(file) = File::parse(text, Path::new("folder/connector.toml")) else { return };
    let policy = Policy::default().with_tables(&file.grants, file.folder());
    assert_eq!(policy.lines().count(), file.grants.len());
    let bindings: Vec<_> = file.bindings().collect();
    policy.bind(&bindings).expect("origins were checked when they were read");
}

/// A value in the middle of a file: what stands behind it may be wrong in any way.
fn keeps_quiet(form: &str, more: &str) {
    let (line, rest) = more.split_once('\n').unwrap_or((more, ""));
    if [line, rest].iter().any(|text| text.contains(SECRET)) {
        return;
    }
    let value = form.replace('$', line).replace("SECRET", SECRET);
    let text = format!("[config]\nKEY = {value}\n{rest}");
    let Err(error) = File::parse(&text, Path::new("connector.toml")) else { return };
    let told = format!("{error:#} {error:?}");
    assert!(!told.contains(SECRET), "{told}\n{text}");
}
