//! Loading: whatever a file holds, there is an error, or a manifest that is one.

use std::cell::LazyCell;
use std::io::Write as _;

use aloma_wasm::connector::{Compiler, Engine, Loaded, Loader};
use aloma_wasm::envelope::Limits;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::runtime::{Builder, Runtime};

use crate::given::Given;
use crate::guest::{contract, manifest};
use crate::sound::is_sound;
use crate::values;
use crate::watch::no_panics;

/// Bytes of a component that one case changes.
const EDITS: usize = 16;

/// Loads components in this process, where a crash of the compiler is seen.
pub(crate) struct Loading {
    loader: Loader,
    runtime: Runtime,
}

thread_local! {
    static LOADING: LazyCell<Loading> = LazyCell::new(Loading::new);
}

/// The first byte says what the others are.
pub fn component(data: &[u8]) {
    let mut given = Given::new(data);
    let component = match given.byte() {
        b'd' => described(&mut given),
        b'e' => edited(&mut given),
        b't' => match wat::parse_str(given.rest_text()) {
            Ok(component) => component,
            Err(_) => return,
        },
        _ => data.to_vec(),
    };
    let loaded = no_panics(|| LOADING.with(|loading| loading.load(&component)));
    if let Ok(loaded) = loaded {
        is_sound(&loaded.manifest);
    }
}

/// A guest that says anything at all of itself, and may say it wrongly.
fn described(given: &mut Given<'_>) -> Vec<u8> {
    let contract = contract();
    let damage: Vec<_> = (0..given.below(4)).map(|_| (given.number(), given.byte())).collect();
    let mut said = values::any(&contract.resolve, contract.manifest(), "", given);
    // Else hardly one would be let in.
    if damage.is_empty() {
        for key in ["name", "version"] {
            said[key] = manifest()[key].clone();
        }
        said["id"] = Value::Null;
    }
    let mut described = contract.described(&said);
    for (at, byte) in damage {
        let length = described.len() as u64;
        described[usize::try_from(at % length).expect("a place in it")] = byte;
    }
    contract.component_of(&described)
}

/// A sound guest with some bytes changed, and maybe its end cut off.
fn edited(given: &mut Given<'_>) -> Vec<u8> {
    let mut component = contract().component(&manifest());
    if given.byte() & 1 == 1 {
        let length = given.number() % component.len() as u64;
        component.truncate(usize::try_from(length).expect("a place in it"));
    }
    for _ in 0..EDITS {
        if given.is_over() || component.is_empty() {
            break;
        }
        let (at, byte) = (given.number() % component.len() as u64, given.byte());
        component[usize::try_from(at).expect("a place in it")] = byte;
    }
    component
}

impl Loading {
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let engine = Engine::new().expect("an engine");
        Self { loader: Loader::new(engine, None, Compiler::in_process()), runtime }
    }

    /// Loads what a file would hold.
    pub fn load(&self, component: &[u8]) -> Result<Loaded, String> {
        let mut file = NamedTempFile::new().expect("a file");
        file.write_all(component).expect("room for a small file");
        let limits = Limits::default();
        let load = self.loader.load(file.path(), &limits);
        self.runtime.block_on(load).map_err(|error| format!("{error:#}"))
    }
}
