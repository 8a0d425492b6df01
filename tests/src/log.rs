//! What a process printed, line by line as it came.

use std::fmt;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where it came from.
    pub stream: Stream,
    /// The line without its end.
    pub text: String,
}

/// All lines so far. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<watch::Sender<Vec<Line>>>);

impl Log {
    /// Reads a stream to its end.
    pub fn read(
        &self,
        stream: Stream,
        from: impl AsyncRead + Unpin + Send + 'static,
    ) -> JoinHandle<()> {
        let log = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(from).lines();
            while let Ok(Some(text)) = lines.next_line().await {
                log.0.send_modify(|lines| lines.push(Line { stream, text }));
            }
        })
    }

    /// The first line that holds `part`, now or later.
    pub async fn line_with(&self, part: &str) -> String {
        let mut watch = self.0.subscribe();
        let holds = |line: &&Line| line.text.contains(part);
        let lines = watch
            .wait_for(|lines| lines.iter().any(|line| holds(&line)))
            .await
            .expect("this log holds the sender");
        lines.iter().find(holds).map(|line| line.text.clone()).unwrap_or_default()
    }

    /// Waits until so many lines hold `part`.
    pub async fn lines_with(&self, part: &str, count: usize) {
        let mut watch = self.0.subscribe();
        let holding = |lines: &Vec<Line>| lines.iter().filter(|l| l.text.contains(part)).count();
        let enough = watch.wait_for(|lines| holding(lines) >= count).await;
        drop(enough.expect("this log holds the sender"));
    }

    /// How many lines hold `part` by now.
    pub fn count(&self, part: &str) -> usize {
        self.0.borrow().iter().filter(|line| line.text.contains(part)).count()
    }

    /// All that came from one stream.
    pub fn text(&self, stream: Stream) -> String {
        let lines = self.0.borrow();
        let of_stream = lines.iter().filter(|line| line.stream == stream);
        of_stream.map(|line| format!("{}\n", line.text)).collect()
    }

    /// Whether any line holds `part`.
    pub fn holds(&self, part: &str) -> bool {
        self.0.borrow().iter().any(|line| line.text.contains(part))
    }
}

impl fmt::Display for Log {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "--- the process printed ---")?;
        for line in self.0.borrow().iter() {
            let mark = if line.stream == Stream::Out { "out" } else { "err" };
            writeln!(out, "{mark} | {}", line.text)?;
        }
        write!(out, "---------------------------")
    }
}
