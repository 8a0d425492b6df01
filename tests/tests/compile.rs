//! Files that are made to hurt the compiler: each is refused with a reason, and the process that reads
//! it goes on.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use aloma_tests::process::program;
use aloma_tests::{Scene, cli, guest};
use aloma_wasm::connector::{Cache, Compiler, Engine, Loader};
use aloma_wasm::envelope::{Limit, Limits};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// What begins every component, and is an empty one by itself.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A loader as the program has it, with a cache of its own.
struct Loading {
    folder: TempDir,
    loader: Loader,
}

impl Loading {
    fn new() -> Self {
        Self::with(&program())
    }

    fn with(compiler: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&folder.path().join("cache")).expect("a cache");
        let engine = Engine::new().expect("an engine");
        let compiler = Compiler::child_of(compiler);
        Self { folder, loader: Loader::new(engine, Some(Arc::new(cache)), compiler) }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("hostile.wasm");
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// The file is refused with these words, and then a good one is loaded.
    async fn refuses(&self, bytes: &[u8], limits: &Limits, says: &[&str]) {
        let path = self.file(bytes);
        let error = self.error(&path, limits).await;
        for text in says {
            assert!(error.contains(text), "no {text:?} in {error}");
        }
        self.still_loads().await;
    }

    async fn error(&self, path: &Path, limits: &Limits) -> String {
        let loaded = self.loader.load(path, limits).await;
        format!("{:#}", loaded.err().expect("it is refused"))
    }

    async fn still_loads(&self) {
        let loaded = self.loader.load(&guest("hello"), &Limits::default()).await;
        assert_eq!(loaded.expect("a connector").manifest.name, "hello");
    }
}

fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(content.len()), content].concat()
}

/// A component with one core module of functions without parameters and results.
fn functions(count: usize, body: &[u8]) -> Vec<u8> {
    let with_size = [&leb(body.len())[..], body].concat();
    let module = [
        MODULE,
        &section(1, b"\x01\x60\0\0"),
        &section(3, &[leb(count), vec![0; count]].concat()),
        &section(10, &[leb(count), with_size.repeat(count)].concat()),
    ];
    [COMPONENT, &section(1, &module.concat())].concat()
}

/// Some kilobytes whose compilation takes gigabytes: every local variable has a value of its own in
/// every loop.
fn bomb() -> Vec<u8> {
    const LOOPS: usize = 2000;
    const LOCALS: usize = 4000;
    const I32: u8 = 0x7f;
    let mut body = [&[1][..], &leb(LOCALS), &[I32]].concat();
    body.extend(b"\x03\x40".repeat(LOOPS));
    for local in 0..LOCALS {
        // local = local + 1
        body.extend([&[0x20][..], &leb(local), b"\x41\x01\x6a\x21", &leb(local)].concat());
    }
    // Again, if the first local says so; the end of the loop.
    body.extend(b"\x20\0\x0d\0\x0b".repeat(LOOPS));
    body.push(0x0b);
    functions(1, &body)
}

#[tokio::test]
async fn a_component_with_too_many_functions_is_not_compiled() {
    let limits = Limits::default().with(Limit::Functions, 1000);
    // Nothing could compile these: the compiler is a program that is not there.
    let loading = Loading::with(Path::new("/nowhere"));
    let path = loading.file(&functions(1001, b"\0\x0b"));
    let error = loading.error(&path, &limits).await;
    assert!(error.contains("more than 1000 functions"), "{error}");
    assert!(error.contains("functions in [limits]"), "{error}");
    let path = loading.file(&functions(1000, b"\0\x0b"));
    let error = loading.error(&path, &limits).await;
    assert!(error.contains("cannot start the compiler"), "{error}");
}

#[tokio::test]
async fn a_compilation_that_takes_too_long_is_stopped() {
    let limits = Limits::default().with(Limit::CompileTime, 1);
    let says = ["stopped after 1 s", "compile-seconds in [limits]"];
    Loading::new().refuses(&bomb(), &limits, &says).await;
}

#[tokio::test]
async fn a_compilation_that_takes_too_much_memory_is_stopped() {
    let limits = Limits::default().with(Limit::CompileMemory, 64);
    let says = ["more than 64 MiB of memory", "compile-mib in [limits]"];
    Loading::new().refuses(&bomb(), &limits, &says).await;
}

#[tokio::test]
async fn instances_that_double_with_every_level_are_stopped() {
    let mut text = String::from(
        "(component (component $c0 (core module $m) (core instance (instantiate $m)))",
    );
    for level in 1..40 {
        let inner = level - 1;
        text += &format!(
            "(component $c{level} (instance (instantiate $c{inner})) (instance (instantiate $c{inner})))"
        );
    }
    text += "(instance (instantiate $c39)))";
    let bytes = wat::parse_str(text).expect("a component");
    let limits = Limits::default().with(Limit::CompileMemory, 64).with(Limit::CompileTime, 20);
    Loading::new().refuses(&bytes, &limits, &["in [limits]"]).await;
}

#[tokio::test]
async fn a_component_that_is_nested_deep_is_not_compiled() {
    let nested =
        (0..10_000).fold(COMPONENT.to_vec(), |inner, _| [COMPONENT, &section(4, &inner)].concat());
    Loading::new().refuses(&nested, &Limits::default(), &["nested"]).await;
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_read() {
    let loading = Loading::new();
    let path = loading.file(COMPONENT);
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("a file");
    file.set_len(65 << 20).expect("a file with a hole");
    let error = loading.error(&path, &Limits::default()).await;
    assert!(error.contains("more than 64 MiB"), "{error}");
    assert!(error.contains("component-mib in [limits]"), "{error}");
    let error = loading.error(Path::new("/dev/zero"), &Limits::default()).await;
    assert!(error.contains("it is no file; give the .wasm file"), "{error}");
    loading.still_loads().await;
}

#[tokio::test]
async fn a_file_that_is_cut_off_or_garbage_is_refused() {
    let loading = Loading::new();
    let whole = std::fs::read(guest("hello")).expect("a guest");
    for part in 1..8 {
        let half = &whole[..whole.len() * part / 8];
        loading.refuses(half, &Limits::default(), &["cut off"]).await;
    }
    // The same bytes every time, that look like nothing.
    let noise = std::iter::successors(Some(1_u32), |last| Some(last.wrapping_mul(747_796_405) + 1));
    let noise: Vec<u8> = noise.map(|word| (word >> 13) as u8).take(100_000).collect();
    let garbage = [COMPONENT, &noise].concat();
    loading.refuses(&garbage, &Limits::default(), &["damaged or cut off"]).await;
    let garbage_inside = functions(100, &noise[..1000]);
    loading.refuses(&garbage_inside, &Limits::default(), &["damaged or cut off"]).await;
}

#[tokio::test]
async fn the_program_says_which_limit_a_compilation_came_to() {
    for (limit, says) in [
        ("compile-seconds = 1", "compile-seconds in [limits]"),
        ("compile-mib = 64", "compile-mib in [limits]"),
        ("functions = 2", "functions in [limits]"),
        ("component-mib = 1", "component-mib in [limits]"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = format!("component = 'bomb.wasm'\n[limits]\n{limit}\n");
        std::fs::write(folder.path().join("connector.toml"), settings).expect("a file");
        let bytes = match limit {
            "functions = 2" => functions(3, b"\0\x0b"),
            "component-mib = 1" => vec![0; 2 << 20],
            _ => bomb(),
        };
        std::fs::write(folder.path().join("bomb.wasm"), bytes).expect("a file");
        let settings = folder.path().join("connector.toml");
        cli([OsString::from("inspect"), settings.into()]).await.failed(1, &[says]);
    }
}

/// A compiler that does something else.
fn script(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("compiler");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("mine");
    path
}

#[tokio::test]
async fn a_compiler_that_crashes_is_an_error_and_no_crash() {
    for (does, says) in [
        ("echo \"thread 'main' panicked\" >&2; exit 101", "thread 'main' panicked"),
        ("kill -SEGV $$", "crashed on it (signal: 11"),
        ("kill -KILL $$", "was killed"),
        ("kill -XCPU $$", "compile-seconds in [limits]"),
        ("head -c 10000000 /dev/zero >&2; exit 3", "crashed on it (exit status: 3)"),
        ("cat /dev/zero", "stopped after 1 s"),
        ("exit 0", "does not load"),
        ("echo hello", "does not load"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let loading = Loading::with(&script(&folder, does));
        let limits = Limits::default().with(Limit::CompileTime, 1);
        let error = loading.error(&guest("hello"), &limits).await;
        assert!(error.contains(says), "{does}: {error}");
        assert!(error.len() < 10_000, "{does}: {} bytes", error.len());
    }
}

#[tokio::test]
async fn a_compiler_ends_when_nobody_waits_for_its_code() {
    let mut worker = Command::new(program())
        .args(["compile-worker", "4096", "600"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let mut input = worker.stdin.take().expect("it is piped");
    let bomb = bomb();
    input.write_all(&(bomb.len() as u64).to_le_bytes()).await.expect("it reads");
    input.write_all(&bomb).await.expect("it reads");
    drop(input);
    let ended = worker.wait().await.expect("a child can be waited for");
    assert_eq!(ended.code(), Some(1));
}

#[tokio::test]
async fn loaders_that_start_at_once_share_a_cache() {
    let folder = tempfile::tempdir().expect("a folder");
    let load = async || {
        let cache = Arc::new(Cache::open(folder.path()).expect("a cache"));
        let engine = Engine::new().expect("an engine");
        let loader = Loader::new(engine, Some(cache), Compiler::child_of(&program()));
        let loaded = loader.load(&guest("hello"), &Limits::default()).await;
        loaded.expect("a connector").digest
    };
    let (first, second, third) = tokio::join!(load(), load(), load());
    assert!(first == second && second == third);
    let names = std::fs::read_dir(folder.path()).expect("a folder").flatten();
    let names: Vec<_> = names.map(|file| file.file_name().into_string().expect("text")).collect();
    assert_eq!(names.len(), 2, "the key and the entry, and no lock: {names:?}");
}

#[tokio::test]
async fn the_same_component_is_compiled_and_described_once_in_a_process() {
    let engine = Engine::new().expect("an engine");
    // Without a cache, the second finds the code of the first or has to compile again.
    let loader = Loader::new(engine, None, Compiler::child_of(&program()));
    let first = loader.load(&guest("hello"), &Limits::default()).await.expect("a connector");
    let second = loader.load(&guest("hello"), &Limits::default()).await.expect("a connector");
    assert!(Arc::ptr_eq(&first.manifest, &second.manifest));
}

#[tokio::test]
async fn a_running_connector_does_not_notice_a_hostile_file() {
    let scene = Scene::connector("hello").start().await;
    let loading = Loading::new();
    let limits = Limits::default().with(Limit::CompileTime, 1);
    let (bomb, path) = (bomb(), loading.folder.path().join("bomb.wasm"));
    std::fs::write(&path, bomb).expect("a file");
    let call = scene.query(&["hello"], json!({"name": "Ann"}));
    let (error, answer) = tokio::join!(loading.error(&path, &limits), call);
    assert!(error.contains("compile-seconds"), "{error}");
    assert!(answer.to_string().contains("Ann"), "{answer}");
}

/// Who compiled once held up everybody else: a few hostile files were enough for all of a process.
#[tokio::test]
async fn what_is_in_the_cache_is_loaded_while_others_compile() {
    let mut loading = Loading::new();
    loading.still_loads().await;
    let stuck = script(&loading.folder, "exec sleep 600");
    let cache = Cache::open(&loading.folder.path().join("cache")).expect("a cache");
    let engine = Engine::new().expect("an engine");
    loading.loader = Loader::new(engine, Some(Arc::new(cache)), Compiler::child_of(&stuck));
    let mut compiling = tokio::task::JoinSet::new();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for number in 0..2 * cores {
        let path = loading.folder.path().join(format!("{number}.wasm"));
        std::fs::write(&path, functions(number + 1, b"\0\x0b")).expect("a file");
        let loader = loading.loader.clone();
        compiling.spawn(async move { loader.load(&path, &Limits::default()).await.map(drop) });
    }
    tokio::task::yield_now().await;
    tokio::select! {
        () = loading.still_loads() => {}
        _ = compiling.join_next() => panic!("the good one waited until another had ended"),
    }
}
