//! The log of one connector: bounded lines, from `logging` and from standard output and error.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
pub use tracing::Level;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::envelope::{Limit, Limits};
use crate::events::{Event, Events, LogLine};
use crate::printable::printable;
use crate::vault::Vault;

/// Bytes that a guest may write at once: what is done with them takes less than a tick of the clock.
const PIECE: usize = 16 << 10;

/// Where one instance's lines go: to the process's log and to whoever watches.
pub struct Journal {
    connector: Arc<str>,
    events: Events,
    vault: Arc<Vault>,
    limits: Arc<Limits>,
    call: Mutex<Call>,
}

/// A call, and what it may still log.
struct Call {
    id: Option<Arc<str>>,
    lines: usize,
    bytes: usize,
    suppressed: usize,
}

impl Journal {
    /// A log without lines. The vault's secrets are taken out of every line.
    pub fn new(
        connector: Arc<str>,
        events: Events,
        vault: Arc<Vault>,
        limits: Arc<Limits>,
    ) -> Self {
        let call = Mutex::new(Call::new(None, &limits));
        Self { connector, events, vault, limits, call }
    }

    /// Lines belong to this call from now on, and the count of lines begins anew. What was lost before
    /// belongs to no call, or to one that was given up.
    pub fn enter(&self, id: Option<Arc<str>>) {
        let next = Call::new(id, &self.limits);
        let call = std::mem::replace(&mut *self.call.lock(), next);
        if call.suppressed > 0 {
            let text = format!("{} more lines suppressed", call.suppressed);
            self.tell(call.id, Level::WARN, text);
        }
    }

    /// The call is over. Says how many lines it lost.
    pub fn leave(&self) {
        self.enter(None);
    }

    /// Whether lines of this level reach anybody.
    pub fn keeps(&self, level: Level) -> bool {
        level <= tracing::level_filters::LevelFilter::current()
    }

    /// Logs a line, cut where it is too long, unless the call has logged too much.
    pub fn line(&self, level: Level, text: String) {
        // Before it is scrubbed and cut, so that a flood costs nothing.
        let Some(call) = self.call.lock().admit(text.len().min(self.longest())) else { return };
        self.tell(call, level, self.vault.scrub_and_cut(&text, self.longest()));
    }

    /// Bytes of a line.
    fn longest(&self) -> usize {
        self.limits.bytes(Limit::LogLine)
    }

    fn tell(&self, call: Option<Arc<str>>, level: Level, text: String) {
        let message = printable(&text);
        let (connector, id) = (&*self.connector, call.as_deref().unwrap_or("-"));
        match level {
            Level::ERROR => tracing::error!(target: "connector", connector, call = id, "{message}"),
            Level::WARN => tracing::warn!(target: "connector", connector, call = id, "{message}"),
            Level::INFO => tracing::info!(target: "connector", connector, call = id, "{message}"),
            Level::DEBUG => tracing::debug!(target: "connector", connector, call = id, "{message}"),
            Level::TRACE => tracing::trace!(target: "connector", connector, call = id, "{message}"),
        }
        let connector = self.connector.clone();
        let level = lower(level);
        self.events.tell(Event::Log(LogLine {
            at: SystemTime::now(),
            connector,
            call,
            level,
            message,
        }));
    }

    /// Standard output of an instance, as lines of level info.
    pub fn stdout(self: &Arc<Self>) -> Lines {
        Lines::new(self, Level::INFO)
    }

    /// Standard error of an instance, as lines of level warn.
    pub fn stderr(self: &Arc<Self>) -> Lines {
        Lines::new(self, Level::WARN)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Call {
    fn new(id: Option<Arc<str>>, limits: &Limits) -> Self {
        let (lines, bytes) = (limits.count(Limit::LogLines), limits.bytes(Limit::Log));
        Self { id, lines, bytes, suppressed: 0 }
    }

    /// The id for a line of so many bytes, unless there are no more.
    fn admit(&mut self, bytes: usize) -> Option<Option<Arc<str>>> {
        if self.lines == 0 || bytes > self.bytes {
            // After the first that does not fit nothing does: a log with holes misleads.
            self.lines = 0;
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.lines -= 1;
        self.bytes -= bytes;
        Some(self.id.clone())
    }
}

fn lower(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// An output that becomes log lines. However often a guest asks for the stream, it is one.
pub struct Lines(Arc<Output>);

impl Lines {
    fn new(journal: &Arc<Journal>, level: Level) -> Self {
        Self(Arc::new(Output { journal: journal.clone(), level, line: Mutex::default() }))
    }
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Writer(self.0.clone()))
    }

    /// Without the task and the queue that wasmtime would give each stream: a guest may have thousands,
    /// and what is done there is done on nobody's account.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Writer(self.0.clone()))
    }
}

/// Collects bytes until a line is whole or long enough.
struct Output {
    journal: Arc<Journal>,
    level: Level,
    line: Mutex<Vec<u8>>,
}

impl Output {
    fn push(&self, bytes: &[u8]) {
        let mut line = self.line.lock();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || line.len() > self.journal.longest() {
                self.end(&mut line);
            }
        }
    }

    fn end(&self, line: &mut Vec<u8>) {
        let line = std::mem::take(line);
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            self.journal.line(self.level, text.into_owned());
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let mut line = std::mem::take(self.line.get_mut());
        self.end(&mut line);
    }
}

/// One of the streams to an output.
struct Writer(Arc<Output>);

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PIECE)
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.0.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::Placeholders;

    fn journal() -> (Arc<Journal>, tokio::sync::broadcast::Receiver<Event>) {
        let events = Events::default();
        let watch = events.watch();
        (Arc::new(Journal::new("c".into(), events, Arc::default(), Arc::default())), watch)
    }

    fn lines(watch: &mut tokio::sync::broadcast::Receiver<Event>) -> Vec<String> {
        let next = || match watch.try_recv() {
            Ok(Event::Log(line)) => Some(line.message),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn output_becomes_lines() {
        let (journal, mut watch) = journal();
        let output = journal.stdout();
        output.0.push(b"one\ntwo\n\nthr");
        output.0.push(b"ee");
        drop(output);
        assert_eq!(lines(&mut watch), ["one", "two", "three"]);
    }

    #[test]
    fn all_streams_to_an_output_write_the_same_line() {
        let (journal, mut watch) = journal();
        let output = journal.stdout();
        let streams: Vec<Writer> = (0..3).map(|_| Writer(output.0.clone())).collect();
        streams.iter().for_each(|stream| stream.0.push(b"part "));
        drop(streams);
        output.0.push(b"end\n");
        assert_eq!(lines(&mut watch), ["part part part end"]);
    }

    #[test]
    fn a_secret_is_taken_out_of_a_line_before_it_is_cut() {
        let events = Events::default();
        let mut watch = events.watch();
        let values = [("KEY".to_owned(), "the-secret".into())].into();
        let placeholders = Placeholders::new(["KEY".to_owned()]);
        let vault = Vault::new(values, &placeholders, &["KEY".to_owned()].into());
        let journal = Journal::new("c".into(), events, Arc::new(vault), Arc::default());
        let long = format!("{}the-secret", "x".repeat(Limits::default().bytes(Limit::LogLine) - 5));
        journal.line(Level::INFO, "key: the-secret".into());
        journal.line(Level::INFO, long);
        let lines = lines(&mut watch);
        assert!(lines[0].starts_with("key: aloma-sealed-"), "{}", lines[0]);
        assert!(lines[1].contains("bytes cut") && !lines[1].contains("xthe-s"));
    }

    #[test]
    fn a_line_is_cut_as_if_all_of_it_had_been_scrubbed() {
        let events = Events::default();
        let mut watch = events.watch();
        let values = [("KEY".to_owned(), "the-secret".into())].into();
        let placeholders = Placeholders::new(["KEY".to_owned()]);
        let vault = Vault::new(values, &placeholders, &Default::default());
        let limits = Limits::default().with(Limit::LogLine, 1);
        let journal = Journal::new("c".into(), events, Arc::new(vault), Arc::new(limits));
        // The secret lies across the end of what is read at first, and of what is shown.
        for before in 1010..1030 {
            journal
                .line(Level::INFO, format!("{}the-secret{}", "x".repeat(before), "y".repeat(5000)));
            let line = lines(&mut watch).remove(0);
            let shown = line.split('…').next().expect("a beginning").trim_start_matches('x');
            assert!(
                shown.len() <= 1024 && "aloma-sealed-".starts_with(&shown[..shown.len().min(13)]),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let (journal, mut watch) = journal();
        journal.line(Level::INFO, "ä".repeat(Limits::default().bytes(Limit::LogLine)));
        let lines = lines(&mut watch);
        assert!(
            lines[0].ends_with(&format!("({} bytes cut)", Limits::default().bytes(Limit::LogLine))),
            "{}",
            lines[0].len()
        );
    }

    #[test]
    fn a_call_that_logs_too_much_is_cut_off_and_says_so() {
        let (journal, mut watch) = journal();
        journal.enter(Some("k".into()));
        for _ in 0..Limits::default().count(Limit::LogLines) + 7 {
            journal.line(Level::INFO, "again".into());
        }
        journal.leave();
        assert_eq!(lines(&mut watch).last().map(String::as_str), Some("7 more lines suppressed"));
    }

    #[test]
    fn what_a_call_lost_is_told_though_it_never_ends() {
        let (journal, mut watch) = journal();
        let too_many = || {
            for _ in 0..=Limits::default().count(Limit::LogLines) {
                journal.line(Level::INFO, "again".into());
            }
        };
        too_many();
        journal.enter(Some("given up".into()));
        assert_eq!(lines(&mut watch).last().map(String::as_str), Some("1 more lines suppressed"));
        too_many();
        drop(journal);
        assert_eq!(lines(&mut watch).last().map(String::as_str), Some("1 more lines suppressed"));
    }

    #[test]
    fn a_call_that_logs_too_many_bytes_is_cut_off_too() {
        let events = Events::default();
        let mut watch = events.watch();
        let limits = Limits::default().with(Limit::Log, 2).with(Limit::LogLine, 1);
        let journal = Journal::new("c".into(), events, Arc::default(), Arc::new(limits));
        journal.enter(None);
        for length in [1000, 1000, 1000, 1] {
            journal.line(Level::INFO, "x".repeat(length));
        }
        journal.leave();
        journal.line(Level::INFO, "the next call".into());
        let lines = lines(&mut watch);
        assert_eq!(lines[2..], ["2 more lines suppressed", "the next call"]);
    }
}
