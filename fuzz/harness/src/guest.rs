//! A guest without manners: it calls whatever import it is told to, with whatever it is told, and
//! answers with whatever is in its memory.
//!
//! It is made of `wit/`, so that a function that is added there is called, too. What it does stands in
//! its arguments: an object with one text, in which two letters from `a` to `p` are a byte. The bytes
//! are put at [`IMAGE`], and are steps of eight bytes (which) and eight more for each parameter.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmSignature, WasmType};
use wit_parser::{Function, Resolve, SizeAlign, Type, WorldId, WorldItem};

use crate::lower::{Memory, flat_count};

/// Where a program lies in the guest's memory, and the values that it names.
pub(crate) const IMAGE: usize = 64 << 10;
/// Bytes of it.
pub(crate) const IMAGE_BYTES: usize = 64 << 10;
/// Where imports write their results, unless they are told otherwise.
pub(crate) const RESULT: usize = 1 << 10;
/// Where the manifest lies that `describe` answers.
const DESCRIBED: usize = 8 << 10;
/// Bytes of it.
const DESCRIBED_BYTES: usize = 8 << 10;
/// What stands in its place until it is known.
const STAND_IN: u8 = 0xa5;
/// Where nothing is but zeros: a result that is `ok` and empty.
const ZEROS: usize = 64;
/// What the host wants room for begins here.
const HEAP: usize = IMAGE + IMAGE_BYTES;
/// Pages of the memory: what lies before the heap, and one of it.
const PAGES: usize = (HEAP >> 16) + 1;
/// What stands before and behind the letters of the arguments.
const BRACKETS: [&str; 2] = ["{\"p\":\"", "\"}"];

/// The contract, and the guest that is made of it.
pub(crate) struct Contract {
    pub resolve: Resolve,
    pub sizes: SizeAlign,
    pub imports: Vec<Import>,
    manifest: Type,
    /// What a call that has a result answers.
    pub answer: Type,
    template: Vec<u8>,
    /// Where in it the manifest lies.
    described_at: usize,
}

/// A function that the guest can call.
pub(crate) struct Import {
    interface: String,
    pub function: Function,
    pub signature: WasmSignature,
}

/// Steps beside the calls of imports, which are numbered from zero.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// Every room that the host asks for is said to be at this address.
    Room,
    /// The call ends with the answer at this address.
    Answer,
    /// The call ends with its own arguments as the answer.
    Echo,
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::read);

/// The one of this repository.
pub(crate) fn contract() -> &'static Contract {
    &CONTRACT
}

impl Contract {
    fn read() -> Self {
        let mut resolve = Resolve::default();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let (package, _) = resolve.push_dir(&folder).expect("the contract can be read");
        let world = resolve.select_world(&[package], None).expect("it has one world");
        let mut sizes = SizeAlign::default();
        sizes.fill(&resolve);
        let imports = imports(&resolve, world);
        let exports = exports(&resolve, world);
        let result = |name: &str| {
            let found = exports.iter().find(|(_, function)| function.name == name);
            found.and_then(|(_, function)| function.result).expect("it answers something")
        };
        let template = component(&resolve, world, &text(&resolve, &imports, &exports));
        let stand_in = [STAND_IN; DESCRIBED_BYTES];
        let mut places = template.windows(DESCRIBED_BYTES);
        let described_at = places.position(|place| place == stand_in).expect("a stand-in");
        let (manifest, answer) = (result("describe"), result("invoke"));
        Self { sizes, imports, manifest, answer, template, described_at, resolve }
    }

    /// The type of what `describe` answers.
    pub fn manifest(&self) -> &Type {
        &self.manifest
    }

    /// The number of a step in a program.
    pub fn number(&self, step: Step) -> usize {
        self.imports.len() + step as usize
    }

    /// A component that says this of itself.
    pub fn component(&self, manifest: &Value) -> Vec<u8> {
        self.component_of(&self.described(manifest))
    }

    /// A manifest as it lies in the guest's memory.
    pub fn described(&self, manifest: &Value) -> Vec<u8> {
        let mut memory = Memory::new(&self.resolve, &self.sizes, DESCRIBED);
        memory.put(&self.manifest, manifest);
        memory.bytes
    }

    /// A component with this in place of what it says of itself.
    pub fn component_of(&self, described: &[u8]) -> Vec<u8> {
        let mut component = self.template.clone();
        let place = &mut component[self.described_at..][..DESCRIBED_BYTES];
        place.fill(0);
        let length = described.len().min(DESCRIBED_BYTES);
        place[..length].copy_from_slice(&described[..length]);
        component
    }
}

/// A manifest that is right: one action `run`, a secret field, and a plain one.
pub(crate) fn manifest() -> Value {
    let field = |key: &str, plain: bool| json!({"key": key, "name": key, "kind": 0, "optional": 1, "plain": u8::from(plain)});
    json!({
        "name": "fuzzed",
        "version": "0.0.0",
        "endpoint": 0,
        "fields": [field("KEY", false), field("PLAIN", true)],
        "actions": [{"name": "run", "arguments-schema": "", "hints": 0}],
    })
}

/// The arguments that bring a program to the guest.
pub(crate) fn arguments(image: &[u8]) -> String {
    let mut text = String::from(BRACKETS[0]);
    for byte in image {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(b'a' + digit)));
    }
    text + BRACKETS[1]
}

fn imports(resolve: &Resolve, world: WorldId) -> Vec<Import> {
    functions(resolve, resolve.worlds[world].imports.values())
        .map(|(interface, function)| {
            let signature = resolve.wasm_signature(AbiVariant::GuestImport, &function);
            Import { interface, function, signature }
        })
        .collect()
}

fn exports(resolve: &Resolve, world: WorldId) -> Vec<(String, Function)> {
    functions(resolve, resolve.worlds[world].exports.values()).collect()
}

fn functions<'a>(
    resolve: &'a Resolve,
    items: impl Iterator<Item = &'a WorldItem>,
) -> impl Iterator<Item = (String, Function)> {
    let interfaces = items.filter_map(|item| match item {
        WorldItem::Interface { id, .. } => Some(*id),
        _ => None,
    });
    interfaces.flat_map(|id| {
        let name = resolve.id_of(id).expect("interfaces of wit/ have names");
        let functions = resolve.interfaces[id].functions.values();
        functions.map(move |function| (name.clone(), function.clone()))
    })
}

fn component(resolve: &Resolve, world: WorldId, text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("the guest's text is right");
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).expect("metadata");
    let encoder = ComponentEncoder::default().module(&module).expect("a module");
    encoder.validate(true).encode().expect("a component")
}

/// The guest as text.
fn text(resolve: &Resolve, imports: &[Import], exports: &[(String, Function)]) -> String {
    let mut text = String::from("(module\n");
    for (index, import) in imports.iter().enumerate() {
        let Import { interface, function, signature } = import;
        let types = types(signature);
        let name = &function.name;
        put(&mut text, format!("(import \"{interface}\" \"{name}\" (func $i{index} {types}))"));
    }
    put(&mut text, format!("(memory (export \"memory\") {PAGES})"));
    let stand_in = format!("\\{STAND_IN:02x}").repeat(DESCRIBED_BYTES);
    put(&mut text, format!("(data (i32.const {DESCRIBED}) \"{stand_in}\")"));
    put(&mut text, ROOM.replace("HEAP", &HEAP.to_string()));
    put(&mut text, run(imports));
    for (interface, function) in exports {
        put(&mut text, export(resolve, interface, function));
    }
    text + ")"
}

fn put(text: &mut String, line: String) {
    writeln!(text, "{line}").expect("a text takes all that is written");
}

fn types(signature: &WasmSignature) -> String {
    let list = |kind: &str, types: &[WasmType]| -> String {
        types.iter().map(|ty| format!("({kind} {}) ", core(*ty))).collect()
    };
    list("param", &signature.params) + &list("result", &signature.results)
}

fn core(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
    }
}

/// Room for what the host puts into the guest's memory.
const ROOM: &str = "
(global $heap (mut i32) (i32.const HEAP))
(global $room (mut i32) (i32.const 0))
(func (export \"cabi_realloc\") (param $old i32) (param $size i32) (param $align i32) (param $new i32)
  (result i32) (local $at i32)
  (if (global.get $room) (then (return (global.get $room))))
  (local.set $at (i32.and
    (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
    (i32.sub (i32.const 0) (local.get $align))))
  (global.set $heap (i32.add (local.get $at) (local.get $new)))
  (block $fits (loop $grow
    (br_if $fits (i32.le_u (global.get $heap) (i32.shl (memory.size) (i32.const 16))))
    (br_if $grow (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))
    unreachable))
  (memory.copy (local.get $at) (local.get $old) (local.get $size))
  (local.get $at))";

/// Reads the program and does its steps.
fn run(imports: &[Import]) -> String {
    let mut text = format!(
        "(func $run (param $text i32) (param $length i32) (result i32)
          (local $from i32) (local $end i32) (local $to i32)
          (local $at i32) (local $next i32) (local $answer i32)
          (local.set $from (i32.add (local.get $text) (i32.const {before})))
          (local.set $end (i32.add (local.get $text) (i32.sub (local.get $length) (i32.const {behind}))))
          (local.set $to (i32.const {IMAGE}))
          (block $read (loop $digits
            (br_if $read (i32.ge_u (local.get $from) (local.get $end)))
            (br_if $read (i32.ge_u (local.get $to) (i32.const {HEAP})))
            (i32.store8 (local.get $to) (i32.or
              (i32.shl (i32.sub (i32.load8_u (local.get $from)) (i32.const 97)) (i32.const 4))
              (i32.sub (i32.load8_u offset=1 (local.get $from)) (i32.const 97))))
            (local.set $from (i32.add (local.get $from) (i32.const 2)))
            (local.set $to (i32.add (local.get $to) (i32.const 1)))
            (br $digits)))
          (local.set $next (i32.const {IMAGE}))
          (local.set $answer (i32.const {ZEROS}))
          (block $over (loop $step
            (local.set $at (local.get $next))
            (br_if $over (i32.ge_u (local.get $at) (local.get $to)))\n",
        before = BRACKETS[0].len(),
        behind = BRACKETS[1].len(),
    );
    for (index, import) in imports.iter().enumerate() {
        let params = import.signature.params.iter().enumerate();
        let load = |(slot, ty): (usize, &WasmType)| {
            format!("({}.load offset={} (local.get $at)) ", core(*ty), 8 * (slot + 1))
        };
        let call = format!("(call $i{index} {})", params.map(load).collect::<String>());
        let drops = "(drop)".repeat(import.signature.results.len());
        text += &step(index, import.signature.params.len(), &format!("{call} {drops}"));
    }
    let number = |step: Step| imports.len() + step as usize;
    let load = "(i32.load offset=8 (local.get $at))";
    text += &step(number(Step::Room), 1, &format!("(global.set $room {load})"));
    let answer = format!("(local.set $answer {load}) (br $over)");
    text += &step(number(Step::Answer), 1, &answer);
    let echo = format!(
        "(i32.store (i32.const {RESULT}) (i32.const 0))
         (i32.store offset=4 (i32.const {RESULT}) (local.get $text))
         (i32.store offset=8 (i32.const {RESULT}) (local.get $length))
         (local.set $answer (i32.const {RESULT})) (br $over)"
    );
    text += &step(number(Step::Echo), 0, &echo);
    let end = format!(
        ")) (global.set $heap (i32.const {HEAP})) (global.set $room (i32.const 0))
        (local.get $answer))"
    );
    text + &end
}

/// What is done where a step has this number and so many parameters.
fn step(number: usize, params: usize, what: &str) -> String {
    let size = 8 * (params + 1);
    format!(
        "(if (i32.eq (i32.load (local.get $at)) (i32.const {number})) (then
           (local.set $next (i32.add (local.get $at) (i32.const {size}))) {what} (br $step)))\n"
    )
}

/// An export: what describes it does so from memory, what has arguments and a result runs them as a
/// program, and all else is well.
fn export(resolve: &Resolve, interface: &str, function: &Function) -> String {
    let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
    let body = match function.params.iter().position(|param| param.name == "arguments") {
        Some(index) => {
            let before =
                function.params[..index].iter().map(|param| flat_count(resolve, &param.ty));
            let at: usize = before.sum();
            format!("(call $run (local.get {at}) (local.get {}))", at + 1)
        }
        None if function.name == "describe" => format!("(i32.const {DESCRIBED})"),
        None => format!("(i32.const {ZEROS})"),
    };
    let types = types(&signature);
    format!("(func (export \"{interface}#{}\") {types} {body})", function.name)
}
