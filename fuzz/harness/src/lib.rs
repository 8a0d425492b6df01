//! What the fuzz targets check: one function for each, which panics where a property does not hold.
//!
//! The targets of `fuzz/fuzz_targets` call them under libFuzzer, `tests/corpus.rs` calls them on
//! stable Rust with the inputs of `fuzz/corpus` and with what a small mutator makes of these.

mod boundary;
mod component;
mod fake_workspace;
mod given;
mod guest;
mod lower;
mod packets;
mod policy;
mod sealed;
mod settings;
mod sound;
mod values;
mod watch;

pub use boundary::boundary;
pub use component::component;
pub use packets::packets;
pub use policy::policy;
pub use sealed::sealed;
pub use settings::settings;

/// Something that a target does with any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name, which is that of its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 6] = [
    ("packets", packets),
    ("sealed", sealed),
    ("policy", policy),
    ("settings", settings),
    ("component", component),
    ("boundary", boundary),
];
