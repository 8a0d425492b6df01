//! The log of one connector: bounded lines, from `logging` and from standard output and error.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::io::AsyncWrite;
pub use tracing::Level;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::connector::limits;
use crate::events::{Event, Events, LogLine};
use crate::printable::printable;
use crate::vault::Vault;

/// Where one instance's lines go: to the process's log and to whoever watches.
pub struct Journal {
    connector: Arc<str>,
    events: Events,
    vault: Arc<Vault>,
    call: Mutex<Call>,
}

#[derive(Default)]
struct Call {
    id: Option<Arc<str>>,
    lines: u32,
    suppressed: u32,
}

impl Journal {
    /// A log without lines. The vault's secrets are taken out of every line.
    pub fn new(connector: Arc<str>, events: Events, vault: Arc<Vault>) -> Self {
        Self { connector, events, vault, call: Mutex::default() }
    }

    /// Lines belong to this call from now on, and the count of lines begins anew.
    pub fn enter(&self, id: Option<Arc<str>>) {
        *self.call.lock() = Call { id, lines: 0, suppressed: 0 };
    }

    /// The call is over. Says how many lines it lost.
    pub fn leave(&self) {
        let call = std::mem::take(&mut *self.call.lock());
        if call.suppressed > 0 {
            let text = format!("{} more lines suppressed", call.suppressed);
            self.tell(call.id, Level::WARN, text);
        }
    }

    /// Whether lines of this level reach anybody.
    pub fn keeps(&self, level: Level) -> bool {
        level <= tracing::level_filters::LevelFilter::current()
    }

    /// Logs a line, cut where it is too long, unless the call has logged too many.
    pub fn line(&self, level: Level, text: String) {
        let call = {
            let mut call = self.call.lock();
            if call.lines >= limits::LOG_LINES {
                call.suppressed = call.suppressed.saturating_add(1);
                return;
            }
            call.lines += 1;
            call.id.clone()
        };
        // Before it is cut, which could leave half a secret.
        let mut text = self.vault.scrub(text);
        if text.len() > limits::LOG_LINE {
            let rest = text.split_off(text.floor_char_boundary(limits::LOG_LINE));
            text.push_str(&format!("… ({} bytes cut)", rest.len()));
        }
        self.tell(call, level, text);
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
        Lines { journal: self.clone(), level: Level::INFO }
    }

    /// Standard error of an instance, as lines of level warn.
    pub fn stderr(self: &Arc<Self>) -> Lines {
        Lines { journal: self.clone(), level: Level::WARN }
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

/// An output stream that becomes log lines.
pub struct Lines {
    journal: Arc<Journal>,
    level: Level,
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        let (journal, level) = (self.journal.clone(), self.level);
        Box::new(Writer { journal, level, line: Vec::new() })
    }
}

/// Collects bytes until a line is whole or long enough.
struct Writer {
    journal: Arc<Journal>,
    level: Level,
    line: Vec<u8>,
}

impl Writer {
    fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() > limits::LOG_LINE {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            self.journal.line(self.level, text.into_owned());
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.get_mut().push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end_line();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::Placeholders;

    fn journal() -> (Arc<Journal>, tokio::sync::broadcast::Receiver<Event>) {
        let events = Events::default();
        let watch = events.watch();
        (Arc::new(Journal::new("c".into(), events, Arc::default())), watch)
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
        let mut writer = Writer { journal, level: Level::INFO, line: Vec::new() };
        writer.push(b"one\ntwo\n\nthr");
        writer.push(b"ee");
        drop(writer);
        assert_eq!(lines(&mut watch), ["one", "two", "three"]);
    }

    #[test]
    fn a_secret_is_taken_out_of_a_line_before_it_is_cut() {
        let events = Events::default();
        let mut watch = events.watch();
        let values = [("KEY".to_owned(), "the-secret".into())].into();
        let placeholders = Placeholders::new(["KEY".to_owned()]);
        let vault = Vault::new(values, &placeholders, &["KEY".to_owned()].into());
        let journal = Journal::new("c".into(), events, Arc::new(vault));
        let long = format!("{}the-secret", "x".repeat(limits::LOG_LINE - 5));
        journal.line(Level::INFO, "key: the-secret".into());
        journal.line(Level::INFO, long);
        let lines = lines(&mut watch);
        assert!(lines[0].starts_with("key: aloma-sealed-"), "{}", lines[0]);
        assert!(lines[1].contains("bytes cut") && !lines[1].contains("xthe-s"));
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let (journal, mut watch) = journal();
        journal.line(Level::INFO, "ä".repeat(limits::LOG_LINE));
        let lines = lines(&mut watch);
        assert!(
            lines[0].ends_with(&format!("({} bytes cut)", limits::LOG_LINE)),
            "{}",
            lines[0].len()
        );
    }

    #[test]
    fn a_call_that_logs_too_much_is_cut_off_and_says_so() {
        let (journal, mut watch) = journal();
        journal.enter(Some("k".into()));
        for _ in 0..limits::LOG_LINES + 7 {
            journal.line(Level::INFO, "again".into());
        }
        journal.leave();
        assert_eq!(lines(&mut watch).last().map(String::as_str), Some("7 more lines suppressed"));
    }
}
