//! Guests that Rust cannot write: a file of `tests/guests/misbehaving/wat` has the misbehaviour, and
//! the rest of a connector comes from here.
//!
//! Such a file defines `$misbehave`, whose result is that of `$text` or `$null`.

use std::path::{Path, PathBuf};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::guests::PROJECT;

/// The name that these connectors give themselves.
pub const NAME: &str = "misbehaving";

/// The world of a connector, with a resource for guests that want one.
const WORLD: &str = "package guests:wat;
    world plain { include aloma:connector/connector@0.1.0; }
    world owner {
        include aloma:connector/connector@0.1.0;
        export things: interface { resource thing; }
    }";

/// Where the manifest begins; its texts follow.
const MANIFEST: u32 = 1024;

/// Writes the component of that name into a folder.
pub fn wat_guest(name: &str, folder: &Path) -> PathBuf {
    let source = format!("{PROJECT}/tests/guests/misbehaving/wat/{name}.wat");
    let own = std::fs::read_to_string(&source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let component = component(&own).unwrap_or_else(|error| panic!("{source}: {error:?}"));
    let file = folder.join(format!("{name}.wasm"));
    std::fs::write(&file, component).expect("a file can be written");
    file
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn component(own: &str) -> Outcome<Vec<u8>> {
    let mut module = wat::parse_str(module(own))?;
    let mut resolve = Resolve::default();
    resolve.push_dir(Path::new(PROJECT).join("wit"))?;
    let package = resolve.push_str("guests.wit", WORLD)?;
    let world = if own.contains("[export]things") { "owner" } else { "plain" };
    let world = resolve.select_world(&[package], Some(world))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(ComponentEncoder::default().validate(true).module(&module)?.encode()?)
}

/// The guest's own text comes first, because imports must. It may have memories of its own, so every
/// use of the connector's is by name.
fn module(own: &str) -> String {
    let image: String = image().iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!(
        r#"(module
{own}
(memory $main (export "memory") 2)
(data (memory $main) (i32.const {MANIFEST}) "{image}")

;; From the second page on, and from its beginning again for every call.
(global $heap (mut i32) (i32.const 65536))
(func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
  (local $at i32)
  (local.set $at (global.get $heap))
  (global.set $heap
    (i32.and (i32.add (i32.add (local.get $at) (local.get $size)) (i32.const 7)) (i32.const -8)))
  (local.get $at))

;; The answer "ok" with this text, in the space before the manifest.
(func $text (param $at i32) (param $size i32) (result i32)
  (i32.store $main (i32.const 516) (local.get $at))
  (i32.store $main (i32.const 520) (local.get $size))
  (i32.const 512))

;; An empty text stands for the JSON null.
(func $null (result i32)
  (call $text (i32.const 0) (i32.const 0)))

(func $fresh (global.set $heap (i32.const 65536)))

(func (export "aloma:connector/actions@0.1.0#describe") (result i32)
  (i32.const {MANIFEST}))

(func (export "aloma:connector/actions@0.1.0#invoke")
  (param i32) (param $size i32) {context} (param i32 i32) (result i32)
  (call $fresh)
  ;; Nothing but the length is needed to tell the two names apart.
  (if (result i32) (i32.eq (local.get $size) (i32.const {behave}))
    (then (call $null))
    (else (call $misbehave))))

(func (export "aloma:connector/lifecycle@0.1.0#start") (result i32)
  (call $fresh) (call $null))
(func (export "aloma:connector/lifecycle@0.1.0#stop") (param i32) (result i32)
  (call $fresh) (call $null))
(func (export "aloma:connector/lifecycle@0.1.0#health-check") (result i32)
  (call $fresh) (call $null))
(func (export "aloma:connector/lifecycle@0.1.0#config-check") (param i32 i32) (result i32)
  (call $fresh) (call $null))
(func (export "aloma:connector/lifecycle@0.1.0#autocomplete")
  (param i32 i32) {context} (result i32)
  (call $fresh) (call $null))
(func (export "aloma:connector/lifecycle@0.1.0#endpoint")
  (param i32 i32) {context} (result i32)
  (call $fresh) (call $null))
(func (export "aloma:connector/lifecycle@0.1.0#fallback")
  (param i32 i32 i32 i32) {context} (result i32)
  (call $fresh) (call $null))
)"#,
        behave = "behave".len(),
        // `call-id`, and three optional texts.
        context = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)",
    )
}

/// The manifest as it lies in memory, with its texts behind it.
fn image() -> Vec<u8> {
    let mut image = Image::default();
    // Places of the fields in the record `manifest`, by the rules of the canonical ABI.
    const SIZE: usize = 184;
    const NAME_AT: usize = 12;
    const VERSION_AT: usize = 20;
    const ACTIONS_AT: usize = 176;
    image.bytes.resize(SIZE, 0);
    image.text(NAME_AT, NAME);
    image.text(VERSION_AT, "0.1.0");
    // A record `action`: name, description, schema, an optional schema, flags.
    const ACTION_SIZE: usize = 40;
    let names = ["behave", "misbehave"];
    let actions = image.bytes.len();
    image.pair(ACTIONS_AT, actions, names.len());
    image.bytes.resize(actions + names.len() * ACTION_SIZE, 0);
    for (at, name) in names.iter().enumerate() {
        image.text(actions + at * ACTION_SIZE, name);
    }
    image.bytes
}

#[derive(Default)]
struct Image {
    bytes: Vec<u8>,
}

impl Image {
    /// Puts a text at the end, and its place and length here.
    fn text(&mut self, at: usize, text: &str) {
        let place = self.bytes.len();
        self.bytes.extend_from_slice(text.as_bytes());
        // Records are aligned.
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        self.pair(at, place, text.len());
    }

    fn pair(&mut self, at: usize, place: usize, size: usize) {
        let place = MANIFEST + place as u32;
        self.bytes[at..at + 4].copy_from_slice(&place.to_le_bytes());
        self.bytes[at + 4..at + 8].copy_from_slice(&(size as u32).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_becomes_a_component() {
        let folder = format!("{PROJECT}/tests/guests/misbehaving/wat");
        for file in std::fs::read_dir(folder).expect("the folder").flatten() {
            let own = std::fs::read_to_string(file.path()).expect("a text");
            let made = component(&own);
            assert!(made.is_ok(), "{}: {:?}", file.path().display(), made.err());
        }
    }
}
