//! A guest that misbehaves and one that does not, in one process.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::cli;
use crate::guests::guest;
use crate::local::Local;
use crate::wat::{NAME, wat_guest};

const MEMORY: &str = "memory-mib";

/// MiB of an instance of the guest that misbehaves: far more than those need that do nothing with it,
/// and little beside what the host may need for a call.
pub const MEMORY_MIB: u64 = 16;

/// Instances that one connector can have for one call: the call's own, and one for a check of its
/// health at the same time.
const INSTANCES: u64 = 2;

/// MiB that the host itself may need for whatever a guest does: the largest answer, whole and
/// unpacked (32 MiB), and the largest result on its way through two sockets of one process.
const HOST_MIB: u64 = 80;

/// Answers of the neighbour for each thing that goes wrong. More than one, because the first may
/// have been on its way when it began.
const ANSWERS: usize = 3;

/// The two connectors.
pub struct Neighbours {
    /// The process.
    pub local: Local,
    before: Memory,
    /// MiB that instances may take of the process.
    may_take: u64,
    _folder: TempDir,
}

/// Two connectors that were not started yet.
#[must_use]
pub struct Setting {
    component: PathBuf,
    limits: Vec<(String, u64)>,
    grants: Vec<String>,
    args: Vec<String>,
    may_take: u64,
    folder: TempDir,
}

/// What came of a call.
#[derive(Debug)]
pub enum Outcome {
    /// Its result.
    Result(Value),
    /// The text of its failure.
    Failure(String),
}

#[derive(Clone, Copy, Debug)]
struct Memory {
    now: u64,
    peak: u64,
}

impl Neighbours {
    /// A guest of this name beside `hello`.
    pub fn of(name: &str) -> Setting {
        Setting::new(guest(name), tempfile::tempdir().expect("a temporary directory"))
    }

    /// A guest that is written in WAT beside `hello`.
    pub fn of_wat(name: &str) -> Setting {
        let folder = tempfile::tempdir().expect("a temporary directory");
        Setting::new(wat_guest(name, folder.path()), folder)
    }

    /// The guest misbehaves and fails with all these words; see [`Neighbours::bear`].
    pub async fn fails(&self, action: &str, arguments: Value, says: &[&str]) {
        self.bear(action, arguments).await.failed(says);
    }

    /// The guest misbehaves, and it comes to a result; see [`Neighbours::bear`].
    pub async fn ends(&self, action: &str, arguments: Value) -> Value {
        match self.bear(action, arguments).await {
            Outcome::Result(value) => value,
            Outcome::Failure(told) => panic!("{action}: it failed: {told}"),
        }
    }

    /// The guest misbehaves. Meanwhile its neighbour answers, afterwards it works again itself, and
    /// the process has not taken more memory than it should.
    pub async fn bear(&self, action: &str, arguments: Value) -> Outcome {
        let outcome = self.beside(self.call_rude(action, arguments)).await;
        self.works().await;
        self.is_in_bounds(action);
        outcome
    }

    /// Waits for something while the neighbour answers, at least a few times.
    pub async fn beside<T>(&self, rude: impl Future<Output = T>) -> T {
        let mut rude = std::pin::pin!(rude);
        let mut outcome = None;
        let mut answers = 0;
        while outcome.is_none() || answers < ANSWERS {
            tokio::select! {
                ended = &mut rude, if outcome.is_none() => outcome = Some(ended),
                () = self.neighbour_works() => answers += 1,
            }
        }
        outcome.expect("the loop ends with one")
    }

    /// Waits for something that is known to last, while the neighbour answers: it does so a few times
    /// before that ends.
    pub async fn outlast<T>(&self, rude: impl Future<Output = T>) -> T {
        let mut rude = std::pin::pin!(rude);
        tokio::select! {
            _ = &mut rude => panic!("it ended before the neighbour had answered {ANSWERS} times"),
            () = self.neighbour_answers() => {}
        }
        self.beside(rude).await
    }

    /// The neighbour answers a few times.
    pub async fn neighbour_answers(&self) {
        for _ in 0..ANSWERS {
            self.neighbour_works().await;
        }
    }

    /// The connector that misbehaved answers.
    pub async fn works(&self) {
        match self.call(NAME, "behave", json!({})).await {
            // In WAT it is simpler to answer nothing.
            Outcome::Result(value) => {
                let wells = [json!({"behave": "well"}), json!({})];
                assert!(wells.contains(&value), "{value}");
            }
            Outcome::Failure(told) => panic!("the next call does not work: {told}"),
        }
    }

    async fn neighbour_works(&self) {
        match self.call("hello", "hello", json!({"name": "neighbour"})).await {
            Outcome::Result(value) => assert_eq!(value, json!({"hi": "neighbour"})),
            Outcome::Failure(told) => panic!("the neighbour does not work: {told}"),
        }
    }

    /// Calls an action of a connector.
    pub async fn call(&self, connector: &str, action: &str, arguments: Value) -> Outcome {
        let order = json!({"action": action, "arguments": arguments});
        let path = format!("/api/connectors/{connector}/call");
        let (status, mut answer) = self.local.post(&path, &order).await;
        match status {
            200 => Outcome::Result(answer["result"].take()),
            _ => Outcome::Failure(answer["error"].as_str().unwrap_or_default().to_owned()),
        }
    }

    /// Calls an action of the guest that misbehaves.
    pub async fn call_rude(&self, action: &str, arguments: Value) -> Outcome {
        self.call(NAME, action, arguments).await
    }

    /// Calls the misbehaviour.
    pub async fn misbehave(&self, arguments: Value) -> Outcome {
        self.call_rude("misbehave", arguments).await
    }

    /// Waits until the operator can read this of a request of the guest that misbehaves.
    pub async fn record_says(&self, part: &str) {
        let path = format!("/api/connectors/{NAME}/events");
        self.local.until(&path, |events| events.to_string().contains(part)).await;
    }

    /// The process has not taken more memory than its limits say.
    pub fn is_in_bounds(&self, what: &str) {
        let bound = (self.may_take + HOST_MIB) << 20;
        let most = self.before.peak.max(self.before.now + bound);
        let Memory { peak, .. } = Memory::of(&self.local);
        let more = peak.saturating_sub(self.before.now) >> 20;
        eprintln!("{what}: {more} MiB more than before");
        assert!(peak <= most, "{what}: {more} MiB more than before, not {}", bound >> 20);
    }
}

impl Outcome {
    /// It is a failure with all these words.
    #[track_caller]
    pub fn failed(&self, says: &[&str]) {
        let Self::Failure(told) = self else { panic!("it went well: {self:?}") };
        for part in says {
            assert!(told.contains(part), "no {part:?} in {told:?}");
        }
    }
}

impl Setting {
    fn new(component: PathBuf, folder: TempDir) -> Self {
        let limits = vec![(MEMORY.to_owned(), MEMORY_MIB)];
        let (grants, args) = (Vec::new(), Vec::new());
        let may_take = MEMORY_MIB * INSTANCES;
        Self { component, limits, grants, args, may_take, folder }
    }

    /// Another value for a limit of the guest that misbehaves.
    pub fn limit(mut self, key: &str, value: u64) -> Self {
        if key == MEMORY {
            self.may_take = value * INSTANCES;
        }
        self.limits.retain(|(known, _)| known != key);
        self.limits.push((key.into(), value));
        self
    }

    /// It may reach this origin.
    pub fn allow_private(mut self, origin: &str) -> Self {
        self.grants.push(origin.into());
        self
    }

    /// So many MiB of the process may be its instances'.
    pub fn may_take(mut self, mebibytes: u64) -> Self {
        self.may_take = mebibytes;
        self
    }

    /// More arguments for the process.
    pub fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.args.extend(args.map(Into::into));
        self
    }

    /// Starts the process and waits until both connectors answer, the one that misbehaves unless it
    /// is one that cannot.
    pub async fn start(self) -> Neighbours {
        let neighbours = self.launch().await;
        neighbours.works().await;
        Neighbours { before: Memory::of(&neighbours.local), ..neighbours }
    }

    /// Starts the process and waits until both connectors are there and the neighbour answers.
    pub async fn launch(self) -> Neighbours {
        let hello = guest("hello");
        let settings = self.settings();
        // Compiling takes more memory than running, and would hide what a test is after.
        for component in [&self.component, &hello] {
            cli(["inspect".into(), component.clone()]).await;
        }
        let args = ["run".into(), settings.into_os_string(), hello.into_os_string()];
        let local = Local::start(args.into_iter().chain(self.args.iter().map(Into::into))).await;
        local.connected("hello").await;
        local.connected(NAME).await;
        let before = Memory::of(&local);
        let neighbours =
            Neighbours { local, before, may_take: self.may_take, _folder: self.folder };
        neighbours.neighbour_works().await;
        Neighbours { before: Memory::of(&neighbours.local), ..neighbours }
    }

    fn settings(&self) -> PathBuf {
        let limits = self.limits.iter().map(|(key, value)| format!("{key} = {value}\n"));
        let grant = |origin| format!("[[grant]]\norigin = {origin:?}\nprivate = true\n");
        let text = format!(
            "component = {:?}\n[limits]\n{}{}",
            self.component,
            limits.collect::<String>(),
            self.grants.iter().map(grant).collect::<String>(),
        );
        write(self.folder.path(), &text)
    }
}

fn write(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join("connector.toml");
    std::fs::write(&file, text).expect("a file can be written");
    file
}

impl Memory {
    fn of(local: &Local) -> Self {
        Self { now: local.process.memory(), peak: local.process.peak_memory() }
    }
}
