//! The cache of compiled code: what is in it, an end to it, and what happens when somebody changes it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use aloma_tests::cli::{Output, run};
use aloma_tests::guest;
use aloma_tests::process::Invocation;
use tempfile::TempDir;

/// A cache of its own.
struct Cache(TempDir);

impl Cache {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    async fn cli(&self, args: &[&str]) -> Output {
        let home = self.0.path().to_str().expect("a path that is text").to_owned();
        let env = BTreeMap::from([("XDG_CACHE_HOME".to_owned(), home)]);
        run(Invocation { args: args.iter().map(Into::into).collect(), env, ..Default::default() })
            .await
    }

    async fn inspect(&self, name: &str) -> Output {
        let file = guest(name);
        let output = self.cli(&["inspect", file.to_str().expect("text")]).await;
        assert_eq!(output.status.code(), Some(0), "{output:#?}");
        output
    }

    /// What a command prints that goes well and has nothing to complain of.
    async fn says(&self, args: &[&str]) -> String {
        let output = self.cli(args).await;
        assert_eq!(output.status.code(), Some(0), "{output:#?}");
        assert_eq!(output.stderr, "", "{output:#?}");
        output.stdout
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("aloma-wasm").join("compiled")
    }

    fn entries(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.folder()).expect("a folder").flatten();
        let is_entry = |path: &PathBuf| path.file_name().is_some_and(|name| name.len() > 64);
        files.map(|file| file.path()).filter(is_entry).collect()
    }

    fn the_entry(&self) -> PathBuf {
        match <[_; 1]>::try_from(self.entries()) {
            Ok([entry]) => entry,
            Err(entries) => panic!("not one entry: {entries:?}"),
        }
    }

    fn change(&self, entry: &PathBuf, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(entry).expect("an entry");
        change(&mut bytes);
        fs::remove_file(entry).expect("mine");
        fs::write(entry, bytes).expect("written");
        fs::set_permissions(entry, fs::Permissions::from_mode(0o400)).expect("mine");
    }
}

#[tokio::test]
async fn the_cache_is_shown_and_cleared() {
    let cache = Cache::new();
    cache.inspect("hello").await;
    cache.inspect("hooks").await;
    let shown = cache.says(&["cache"]).await;
    assert!(shown.contains(cache.folder().to_str().expect("text")), "{shown}");
    for entry in cache.entries() {
        let digest = &entry.file_name().and_then(|name| name.to_str()).expect("text")[..12];
        let line = shown.lines().find(|line| line.contains(digest)).expect("a line for each");
        assert!(line.contains("MiB") && line.contains("used just now"), "{shown}");
        assert!(!line.contains("another version"), "{shown}");
    }
    assert!(shown.contains("2 entries, "), "{shown}");
    assert!(shown.contains("of at most 2048 MiB"), "{shown}");
    let kept = cache.says(&["cache", "clear", "--old"]).await;
    assert!(kept.contains("removed 0 entries"), "{kept}");
    let cleared = cache.says(&["cache", "clear"]).await;
    assert!(cleared.contains("removed 2 entries"), "{cleared}");
    assert!(cache.says(&["cache"]).await.contains("0 entries"));
}

#[tokio::test]
async fn entries_of_another_version_are_told_apart() {
    let cache = Cache::new();
    cache.inspect("hello").await;
    let entry = cache.the_entry();
    let name = entry.file_name().and_then(|name| name.to_str()).expect("text");
    let other = entry.with_file_name(format!("{}-{}", &name[..64], "0".repeat(16)));
    fs::copy(&entry, &other).expect("copied");
    let shown = cache.says(&["cache"]).await;
    assert_eq!(shown.matches("for another version").count(), 1, "{shown}");
    let cleared = cache.says(&["cache", "clear", "--old"]).await;
    assert!(cleared.contains("removed 1 entry"), "{cleared}");
    assert_eq!(cache.the_entry(), entry);
}

#[tokio::test]
async fn there_need_not_be_a_cache() {
    let cache = Cache::new();
    assert!(cache.says(&["cache"]).await.contains("0 entries"));
    assert!(cache.says(&["cache", "clear"]).await.contains("removed 0 entries"));
    assert!(!cache.folder().exists(), "looking at it does not make it");
}

#[tokio::test]
async fn a_tampered_entry_is_compiled_again_and_replaced() {
    let cache = Cache::new();
    let first = cache.inspect("hello").await;
    let entry = cache.the_entry();
    let whole = fs::read(&entry).expect("an entry");
    let changes: [fn(&mut Vec<u8>); 4] = [
        |bytes| *bytes.last_mut().expect("a byte") ^= 1,
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
        |bytes| bytes.truncate(1000),
        |bytes| bytes.clear(),
    ];
    for change in changes {
        cache.change(&entry, change);
        let output = cache.inspect("hello").await;
        assert!(output.stderr.contains("compiling again"), "{output:#?}");
        assert_eq!(output.stdout, first.stdout);
        assert_eq!(cache.the_entry(), entry);
        assert!(fs::read(&entry).expect("an entry").len() >= whole.len() / 2, "a new one");
        let again = cache.inspect("hello").await;
        assert_eq!(again.stderr, "", "the new one is used");
    }
}

#[tokio::test]
async fn a_damaged_cache_stops_nobody() {
    let cache = Cache::new();
    let folder = cache.folder();
    fs::create_dir_all(folder.parent().expect("a folder above")).expect("made");
    fs::write(&folder, "not a folder").expect("written");
    let output = cache.inspect("hello").await;
    assert!(output.stderr.contains("compiled at every start"), "{output:#?}");
    fs::remove_file(&folder).expect("mine");
    fs::create_dir_all(folder.join("key")).expect("made");
    let output = cache.inspect("hello").await;
    assert!(output.stderr.contains("compiled at every start"), "{output:#?}");
}

#[tokio::test]
async fn a_key_that_is_lost_costs_one_compilation() {
    let cache = Cache::new();
    cache.inspect("hello").await;
    fs::remove_file(cache.folder().join("key")).expect("a key");
    let output = cache.inspect("hello").await;
    assert!(output.stderr.contains("compiling again"), "{output:#?}");
    assert_eq!(cache.inspect("hello").await.stderr, "");
}

#[tokio::test]
async fn processes_that_start_at_once_share_what_one_compiles() {
    let cache = Cache::new();
    let (a, b, c) =
        tokio::join!(cache.inspect("hello"), cache.inspect("hello"), cache.inspect("hello"));
    assert!(a.stdout == b.stdout && b.stdout == c.stdout);
    assert!([&a, &b, &c].iter().all(|output| output.stderr.is_empty()), "{a:#?}{b:#?}{c:#?}");
    cache.the_entry();
}

#[tokio::test]
async fn what_nobody_uses_makes_room() {
    let cache = Cache::new();
    cache.inspect("hello").await;
    let entry = cache.the_entry();
    // Files with a hole: together they are larger than the cache may be.
    let names: Vec<_> = (0..3).map(|at| format!("{at:064x}-{}", "0".repeat(16))).collect();
    for name in &names {
        let file = fs::File::create(cache.folder().join(name)).expect("a file");
        file.set_len(1 << 30).expect("a hole");
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("mine");
    }
    cache.inspect("hooks").await;
    let left = cache.entries();
    assert!(left.contains(&entry), "it was used a moment ago: {left:?}");
    assert_eq!(left.len(), 3, "{left:?}");
}
