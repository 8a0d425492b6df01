//! Every target with the inputs of `fuzz/corpus`, and with what becomes of them by small changes: always
//! the same ones, so that a failure is seen again.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use aloma_fuzz_harness::{TARGETS, Target};

/// Where the changes begin. Another number makes others.
const SEED: u64 = 0x0A10_3A00;
/// Inputs that are made of those in the corpus, for each target. A few seconds of a slow machine.
const CHEAP: usize = 6000;
/// The same, where a case opens sealed values or runs a guest.
const DEAR: usize = 1500;
/// The same, where a case compiles a component.
const COMPILED: usize = 100;
/// Changes of one input.
const CHANGES: usize = 6;
/// Bytes of an input, so that copies of copies have an end.
const LONGEST: usize = 16 << 10;
/// What breaks readers more often than other bytes.
const INTERESTING: [&[u8]; 14] = [
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x7f",
    b"\"",
    b"\\",
    b"{",
    b"]",
    b"\n",
    b"%2e%2e",
    b"..",
    b"//",
    b"@",
    "é".as_bytes(),
];

#[test]
fn packets() {
    replay("packets", CHEAP);
}

#[test]
fn sealed() {
    replay("sealed", DEAR);
}

#[test]
fn policy() {
    replay("policy", CHEAP);
}

#[test]
fn settings() {
    replay("settings", CHEAP);
}

#[test]
fn component() {
    replay("component", COMPILED);
}

#[test]
fn boundary() {
    replay("boundary", DEAR);
}

#[test]
fn every_target_has_inputs_and_every_folder_a_target() {
    let folders = fs::read_dir(corpus()).expect("the corpus");
    let mut folders: Vec<_> = folders.flatten().map(|entry| entry.file_name()).collect();
    let mut names = TARGETS.map(|(name, _)| name);
    folders.sort();
    names.sort();
    assert_eq!(folders, names);
}

fn replay(name: &str, count: usize) {
    let target = TARGETS.iter().find(|(known, _)| *known == name).expect("a target").1;
    let inputs = inputs(name);
    for (file, input) in &inputs {
        check(target, input, &file.display().to_string());
    }
    let mut changes = Changes { state: SEED, inputs: &inputs };
    for number in 0..count {
        check(target, &changes.input(), &format!("change {number}"));
    }
}

/// Says which input it was, in a form that can be put into the corpus.
fn check(target: Target, input: &[u8], what: &str) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        let file = std::env::temp_dir().join("aloma-fuzz-failure");
        let kept = fs::write(&file, input).map(|()| file.display().to_string());
        panic!("{what} fails; it is kept in {kept:?}: {:?}", String::from_utf8_lossy(input));
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

fn inputs(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = corpus().join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    // The order of a folder differs between machines.
    files.sort();
    assert!(!files.is_empty(), "{folder:?} is empty");
    files.into_iter().map(|file| (file.clone(), fs::read(&file).expect("a file"))).collect()
}

/// Makes inputs of inputs.
struct Changes<'a> {
    state: u64,
    inputs: &'a [(PathBuf, Vec<u8>)],
}

impl Changes<'_> {
    /// SplitMix64: small, and the same everywhere.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("below a usize")
    }

    fn one(&mut self) -> &[u8] {
        let at = self.below(self.inputs.len());
        &self.inputs[at].1
    }

    fn input(&mut self) -> Vec<u8> {
        let mut input = self.one().to_vec();
        for _ in 0..=self.below(CHANGES) {
            self.change(&mut input);
            input.truncate(LONGEST);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let end = at + self.below(input.len() - at + 1);
        match self.below(7) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.next().to_le_bytes()[0],
            2 => drop(input.drain(at..end)),
            3 => input.truncate(at),
            4 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            5 => {
                let other = self.one().to_vec();
                let from = self.below(other.len() + 1);
                let length = self.below(other.len() - from + 1);
                input.splice(at..end, other[from..from + length].iter().copied());
            }
            _ => {
                let bytes = INTERESTING[self.below(INTERESTING.len())];
                input.splice(at..at, bytes.iter().copied());
            }
        }
    }
}
