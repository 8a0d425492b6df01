//! What the cache promises, on disk.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::{Duration, SystemTime};

use super::*;
use crate::connector::engine::Engine;

struct Scene {
    folder: tempfile::TempDir,
    cache: Cache,
    engine: Engine,
}

/// Code of an empty component: the shortest that loads.
fn code(engine: &Engine) -> Vec<u8> {
    engine.wasmtime().precompile_component(b"\0asm\x0d\0\x01\0").expect("a component")
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(folder.path()).expect("a cache");
        Self { folder, cache, engine: Engine::new().expect("an engine") }
    }

    fn name(&self, of: &str) -> Name {
        Name::new(of.as_bytes(), self.engine.wasmtime())
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.folder.path().join(name.as_str())
    }

    fn put(&self, of: &str) -> Name {
        let name = self.name(of);
        self.cache.put(&name, &code(&self.engine)).expect("written");
        name
    }

    /// Writes over an entry what its owner can only write with some effort.
    fn overwrite(&self, name: &Name, with: &[u8]) {
        fs::remove_file(self.path(name)).expect("it was there");
        fs::write(self.path(name), with).expect("written");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o400)).expect("mine");
    }

    fn used(&self, name: &Name, ago: Duration) {
        let file = fs::File::open(self.path(name)).expect("an entry");
        file.set_modified(SystemTime::now() - ago).expect("mine");
    }

    fn leftover(&self, name: &str, age: Duration) -> PathBuf {
        let path = self.folder.path().join(name);
        let file = fs::File::create(&path).expect("a file");
        file.set_modified(SystemTime::now() - age).expect("mine");
        path
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn what_was_put_is_there_for_the_next_process() {
    let scene = Scene::new();
    assert!(scene.cache.get(&scene.name("a")).is_none());
    let name = scene.put("a");
    let again = Cache::open(scene.folder.path()).expect("again");
    again.get(&name).expect("an entry").component(scene.engine.wasmtime()).expect("it loads");
}

#[test]
fn an_entry_is_read_only_and_for_this_user_alone() {
    let scene = Scene::new();
    let metadata = fs::metadata(scene.path(&scene.put("a"))).expect("an entry");
    assert_eq!(metadata.mode() & 0o777, 0o400);
}

#[cfg(target_os = "linux")]
#[test]
fn code_is_mapped_from_the_file_and_not_copied() {
    let scene = Scene::new();
    let name = scene.put("a");
    let entry = scene.cache.get(&name).expect("an entry");
    let component = entry.component(scene.engine.wasmtime()).expect("it loads");
    let maps = fs::read_to_string("/proc/self/maps").expect("a process has maps");
    assert!(maps.contains(name.as_str()), "{maps}");
    drop(component);
}

#[test]
fn a_changed_entry_is_not_used() {
    let scene = Scene::new();
    let name = scene.put("a");
    let whole = fs::read(scene.path(&name)).expect("an entry");
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        scene.overwrite(&name, &changed);
        assert!(scene.cache.get(&name).is_none(), "byte {at}");
    }
    for length in [0, 10, 32, 33, whole.len() - 1] {
        scene.overwrite(&name, &whole[..length]);
        assert!(scene.cache.get(&name).is_none(), "{length} bytes");
    }
    scene.overwrite(&name, &[&whole[..], b"more"].concat());
    assert!(scene.cache.get(&name).is_none(), "longer");
    scene.overwrite(&name, &whole);
    assert!(scene.cache.get(&name).is_some(), "as it was");
}

#[test]
fn a_changed_entry_is_replaced() {
    let scene = Scene::new();
    let name = scene.put("a");
    scene.overwrite(&name, b"forged");
    scene.put("a");
    assert!(scene.cache.get(&name).is_some());
}

#[test]
fn one_entry_does_not_stand_in_for_another() {
    let scene = Scene::new();
    let (name, other) = (scene.put("a"), scene.name("b"));
    fs::copy(scene.path(&name), scene.path(&other)).expect("copied");
    assert!(scene.cache.get(&other).is_none());
}

#[test]
fn an_entry_of_another_key_is_not_used() {
    let (scene, other) = (Scene::new(), Scene::new());
    let name = other.put("a");
    fs::copy(other.path(&name), scene.path(&name)).expect("copied");
    assert!(scene.cache.get(&name).is_none());
}

#[test]
fn an_entry_that_others_can_write_is_not_used() {
    let scene = Scene::new();
    let name = scene.put("a");
    fs::set_permissions(scene.path(&name), fs::Permissions::from_mode(0o422)).expect("mine");
    assert!(scene.cache.get(&name).is_none());
}

#[test]
fn what_is_no_file_is_no_entry() {
    let scene = Scene::new();
    let name = scene.name("a");
    fs::create_dir(scene.path(&name)).expect("a folder");
    assert!(scene.cache.get(&name).is_none());
    let error = scene.cache.put(&name, b"code").expect_err("there is a folder in its place");
    assert!(error.to_string().contains("cannot write the cache"), "{error}");
}

#[test]
fn a_key_that_others_can_read_is_replaced() {
    let scene = Scene::new();
    let name = scene.put("a");
    let key = scene.folder.path().join("key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("opened up");
    let again = Cache::open(scene.folder.path()).expect("again");
    assert!(again.get(&name).is_none());
    assert_eq!(fs::metadata(&key).expect("a key").mode() & 0o077, 0);
}

#[test]
fn a_key_that_is_damaged_is_replaced() {
    let scene = Scene::new();
    let key = scene.folder.path().join("key");
    for bytes in [&b""[..], b"short", &[7; 1000]] {
        fs::remove_file(&key).expect("a key");
        fs::write(&key, bytes).expect("written");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("mine");
        Cache::open(scene.folder.path()).expect("it opens");
        assert_eq!(fs::metadata(&key).expect("a key").len(), 32);
    }
}

#[test]
fn a_folder_that_others_can_write_to_is_no_cache() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("mine");
    let error = Cache::open(folder.path()).expect_err("anybody can write to it");
    assert!(error.to_string().contains("chmod 700"), "{error}");
}

#[test]
fn processes_that_start_at_once_have_one_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::new().expect("an engine");
    let name = Name::new(b"a", engine.wasmtime());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let cache = Cache::open(folder.path()).expect("a cache");
                cache.put(&name, &code(&engine)).expect("written");
                assert!(cache.get(&name).is_some());
            });
        }
    });
    let left = Folder::new(folder.path()).entries().expect("entries");
    assert_eq!(left.len(), 1, "{left:?}");
    let files = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(files, 2, "the key and the entry");
}

#[test]
fn what_was_not_used_the_longest_makes_room() {
    let scene = Scene::new();
    let names: Vec<_> = ["a", "b", "c"].iter().map(|of| scene.put(of)).collect();
    for (name, hours) in names.iter().zip([1, 3, 2]) {
        scene.used(name, HOUR * hours);
    }
    let size = fs::metadata(scene.path(&names[0])).expect("an entry").len();
    let rooms =
        [Room { entries: 3, ..Room::default() }, Room { bytes: 3 * size, ..Room::default() }];
    let Scene { folder, .. } = &scene;
    let cache = Cache::open(folder.path()).expect("a cache").with_room(rooms[0]);
    cache.put(&scene.name("d"), &code(&scene.engine)).expect("written");
    assert!(scene.cache.get(&names[1]).is_none(), "three hours");
    // Using it makes it the newest, so now the other one is the oldest.
    assert!(scene.cache.get(&names[2]).is_some());
    let cache = Cache::open(folder.path()).expect("a cache").with_room(rooms[1]);
    cache.put(&scene.name("e"), &code(&scene.engine)).expect("written");
    assert!(scene.cache.get(&names[0]).is_none(), "one hour");
    let left = Folder::new(folder.path()).entries().expect("entries");
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.is_sorted_by(|a, b| a.used >= b.used), "{left:?}");
}

#[test]
fn what_was_never_finished_is_swept() {
    let scene = Scene::new();
    let old = ["x.unfinished", "x.lock"].map(|name| scene.leftover(name, HOUR * 2));
    let young = ["y.unfinished", "y.lock"].map(|name| scene.leftover(name, HOUR / 2));
    let foreign = scene.leftover("notes.txt", HOUR * 2);
    scene.put("a");
    assert!(old.iter().all(|path| !path.exists()));
    assert!(young.iter().chain([&foreign]).all(|path| path.exists()));
}

#[test]
fn one_process_compiles_and_the_others_wait() {
    let scene = Scene::new();
    let other = Cache::open(scene.folder.path()).expect("a cache");
    let (a, b) = (scene.name("a"), scene.name("b"));
    let lock = scene.cache.try_lock(&a).expect("a lock").expect("it is free");
    assert!(other.try_lock(&a).expect("a lock").is_none());
    assert!(other.try_lock(&b).expect("a lock").is_some(), "another component");
    drop(lock);
    assert!(other.try_lock(&a).expect("a lock").is_some());
}

#[test]
fn clearing_says_what_it_freed() {
    let scene = Scene::new();
    let name = scene.put("a");
    scene.put("b");
    let bytes = fs::metadata(scene.path(&name)).expect("an entry").len();
    let folder = Folder::new(scene.folder.path());
    let mine = settings_of(scene.engine.wasmtime());
    assert_eq!(folder.clear(|entry| entry.settings != mine).expect("cleared"), Freed::default());
    let freed = folder.clear(|entry| entry.digest == name.digest()).expect("cleared");
    assert_eq!(freed, Freed { entries: 1, bytes });
    assert!(scene.cache.get(&name).is_none());
    assert_eq!(folder.clear(|_| true).expect("cleared").entries, 1);
    assert_eq!(folder.entries().expect("none"), []);
}

#[test]
fn a_folder_that_is_not_there_is_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = Folder::new(&folder.path().join("none"));
    assert_eq!(folder.entries().expect("none"), []);
    assert_eq!(folder.clear(|_| true).expect("nothing"), Freed::default());
}
