//! Records of requests in a file, one JSON object a line: for `aloma-wasm policy suggest`, and for
//! whoever looks into something afterwards.
//!
//! Nothing that makes a request ever waits for the file. What comes faster than it can be written
//! is lost, counted and said.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::events::{Event, Events, RequestRecord, Seen, Watcher};

/// Bytes of a recording: about a hundred thousand requests. Nothing is added past them.
const RECORDING_BYTES: u64 = 100 << 20;

/// Bytes that are written together where there is much to write.
const TOGETHER: usize = 64 << 10;

/// The time for requests that were given up at the end to tell so.
const LAST_REQUESTS: Duration = Duration::from_millis(250);

/// The time for the last records to be written.
const FINISH: Duration = Duration::from_secs(5);

/// It names hosts, paths and the connector's habits.
const PRIVATE_MODE: u32 = 0o600;

/// A recording under way.
pub struct Recording {
    path: PathBuf,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// One line of a recording.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Request(Box<RequestRecord>),
    /// So many events came faster than they could be written.
    Lost {
        count: u64,
    },
}

/// What a recording does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Events that came faster than they could be written.
    pub lost: u64,
    /// Lines that are no records.
    pub unreadable: u64,
}

impl Recording {
    /// Records the requests that end from now on at the end of this file, which nobody else can
    /// read from then on.
    ///
    /// # Errors
    /// When the file cannot be opened. That it cannot be written to later is a warning: no call
    /// fails for it.
    pub fn start(path: &Path, events: &Events) -> anyhow::Result<Self> {
        Self::up_to(RECORDING_BYTES, path, events)
    }

    fn up_to(limit: u64, path: &Path, events: &Events) -> anyhow::Result<Self> {
        let (file, bytes) =
            open(path).with_context(|| format!("cannot record requests in {}", path.display()))?;
        let file = File::from_std(file);
        let recorder = Recorder { path: path.to_owned(), file, bytes, limit, lost: 0 };
        let stop = CancellationToken::new();
        let watcher = Watcher::new(events, stop.clone());
        let task = tokio::spawn(recorder.record(watcher));
        Ok(Self { path: path.to_owned(), stop, task })
    }

    /// Writes what was told up to now, and ends. Waits a moment for the last requests, if whoever
    /// makes them still lives.
    pub async fn finish(mut self) {
        if timeout(LAST_REQUESTS, &mut self.task).await.is_ok() {
            return;
        }
        self.stop.cancel();
        if timeout(FINISH, self.task).await.is_err() {
            let path = self.path.display();
            tracing::warn!("the end of the recording {path} was not written within {FINISH:?}");
        }
    }
}

/// Reads a recording.
///
/// # Errors
/// When the file cannot be read.
pub fn read(path: &Path, mut each: impl FnMut(RequestRecord)) -> anyhow::Result<Gaps> {
    let file = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut gaps = Gaps::default();
    for line in BufReader::new(file).split(b'\n') {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        match serde_json::from_slice(&line) {
            Ok(Line::Request(record)) => each(*record),
            Ok(Line::Lost { count }) => gaps.lost += count,
            Err(_) if line.trim_ascii().is_empty() => {}
            Err(_) => gaps.unreadable += 1,
        }
    }
    Ok(gaps)
}

struct Recorder {
    path: PathBuf,
    file: File,
    bytes: u64,
    limit: u64,
    lost: u64,
}

/// Why nothing more is recorded.
enum Ended {
    Full,
    Broken(io::Error),
}

impl Recorder {
    async fn record(mut self, mut watcher: Watcher) {
        if let Err(ended) = self.write_all(&mut watcher).await {
            let path = self.path.display();
            match ended {
                Ended::Full => tracing::warn!(
                    "{path} has {} MiB; no more requests are recorded in it",
                    self.limit >> 20
                ),
                Ended::Broken(error) => {
                    tracing::warn!("no more requests are recorded: cannot write {path}: {error}");
                }
            }
        }
        if self.lost > 0 {
            let (path, lost) = (self.path.display(), self.lost);
            tracing::warn!("{lost} events came faster than they could be written to {path}");
        }
    }

    async fn write_all(&mut self, watcher: &mut Watcher) -> Result<(), Ended> {
        let mut lines = Vec::new();
        while let Some(first) = watcher.next().await {
            lines.clear();
            let mut outcome = self.add(first, &mut lines);
            while outcome.is_ok() && lines.len() < TOGETHER {
                let Ok(more) = watcher.now() else { break };
                outcome = self.add(more, &mut lines);
            }
            self.write(&lines).await.map_err(Ended::Broken)?;
            outcome?;
        }
        Ok(())
    }

    fn add(&mut self, seen: Seen, lines: &mut Vec<u8>) -> Result<(), Ended> {
        let line = match seen {
            Seen::Event(Event::Request(record)) => Line::Request(record),
            Seen::Event(Event::Log(_)) => return Ok(()),
            Seen::Lost(count) => {
                self.lost += count;
                Line::Lost { count }
            }
        };
        let mut line = serde_json::to_vec(&line).map_err(|error| Ended::Broken(error.into()))?;
        line.push(b'\n');
        self.bytes = self.bytes.saturating_add(line.len() as u64);
        if self.bytes > self.limit {
            return Err(Ended::Full);
        }
        lines.append(&mut line);
        Ok(())
    }

    async fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines).await?;
        self.file.flush().await
    }
}

/// The file, and how long it is.
fn open(path: &Path) -> io::Result<(fs::File, u64)> {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).read(true).append(true).mode(PRIVATE_MODE).open(path)?;
    let metadata = file.metadata()?;
    // A pipe or a terminal is what the operator made it.
    if !metadata.is_file() {
        return Ok((file, 0));
    }
    file.set_permissions(Permissions::from_mode(PRIVATE_MODE))?;
    end_last_line(&mut file, metadata.len())?;
    Ok((file, metadata.len()))
}

/// A process that was killed may have left half a line.
fn end_last_line(file: &mut fs::File, length: u64) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::sample;

    fn tell(events: &Events, url: &str) {
        events.tell(Event::Request(Box::new(RequestRecord { url: url.into(), ..sample() })));
    }

    fn urls(path: &Path) -> (Vec<String>, Gaps) {
        let mut urls = Vec::new();
        let gaps = read(path, |record| urls.push(record.url)).expect("a recording");
        (urls, gaps)
    }

    #[tokio::test]
    async fn what_was_told_is_read_again_and_added_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("requests.jsonl");
        for url in ["http://a/", "http://b/"] {
            let events = Events::default();
            let recording = Recording::start(&path, &events).expect("a recording");
            tell(&events, url);
            recording.finish().await;
        }
        assert_eq!(urls(&path), (vec!["http://a/".into(), "http://b/".into()], Gaps::default()));
        let mut read_back = None;
        read(&path, |record| read_back = Some(record)).expect("a recording");
        let expected = RequestRecord { url: "http://b/".into(), ..sample() };
        assert_eq!(read_back, Some(expected));
    }

    #[tokio::test]
    async fn the_file_is_private_and_half_a_line_in_it_spoils_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("requests.jsonl");
        fs::write(&path, "{\"kind\":\"requ").expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("a mode");
        let events = Events::default();
        let recording = Recording::start(&path, &events).expect("a recording");
        tell(&events, "http://a/");
        recording.finish().await;
        let gaps = Gaps { lost: 0, unreadable: 1 };
        assert_eq!(urls(&path), (vec!["http://a/".into()], gaps));
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE_MODE);
    }

    #[tokio::test]
    async fn a_full_recording_gets_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("requests.jsonl");
        let events = Events::default();
        let line = serde_json::to_vec(&Line::Request(Box::new(sample()))).expect("JSON").len() + 1;
        let limit = line as u64 * 2 + 3;
        let recording = Recording::up_to(limit, &path, &events).expect("a recording");
        for _ in 0..5 {
            tell(&events, &sample().url);
        }
        recording.finish().await;
        assert_eq!(fs::metadata(&path).expect("a file").len(), line as u64 * 2);
        assert!(!events.are_watched());
    }

    #[tokio::test]
    async fn what_comes_too_fast_is_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("requests.jsonl");
        let events = Events::default();
        let recording = Recording::start(&path, &events).expect("a recording");
        // Nothing is written before the first await: the test has one thread.
        for _ in 0..3000 {
            tell(&events, "http://a/");
        }
        recording.finish().await;
        let (urls, gaps) = urls(&path);
        assert!(gaps.lost > 0);
        assert_eq!(urls.len() as u64 + gaps.lost, 3000);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_opened_is_named() {
        let path = Path::new("/dev/null/requests.jsonl");
        let error = Recording::start(path, &Events::default()).err().expect("an error");
        assert!(error.to_string().contains("/dev/null/requests.jsonl"), "{error:#}");
    }
}
