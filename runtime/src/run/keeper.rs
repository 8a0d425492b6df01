//! Keeps one connector running: starts it, lets new versions take over, and starts it again after a
//! pause when something went wrong. What happens to it happens to no other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::candidate::{self, Candidate, Membership, Standing};
use super::ids::{Id, Taken};
use super::limits::{DIAL_TURN, FIRST_RETRY, LONGEST_RETRY, LOOK, STEADY, TELL_AGAIN};
use super::member::Member;
use super::process::Process;
use super::settings::Origin;
use super::watch::Watch;
use crate::confine::with_remedy;
use crate::dispatch::Prepared;
use crate::printable::printable;
use crate::workspace::{Backoff, Complaints, Status};

/// Keeps one connector.
pub(super) struct Keeper {
    process: Arc<Process>,
    origin: Origin,
    watch: Watch,
    /// Whether it may become another one: with another id, or in another workspace.
    may_move: bool,
}

/// How a life ended without a fault.
enum Ended {
    /// As it should.
    Stopped,
    /// It goes on as somebody else.
    Moves,
}

/// How long a connector ran, without the time that it took to load, and how that ended.
struct Lived {
    ran: Duration,
    ended: anyhow::Result<Ended>,
}

impl Keeper {
    /// Nothing runs yet.
    pub fn new(process: Arc<Process>, origin: Origin, may_move: bool) -> Self {
        let watch = process.lookout.watch(vec![origin.path.clone()]);
        Self { process, origin, watch, may_move }
    }

    /// The file that names the connector.
    pub fn path(&self) -> &Path {
        &self.origin.path
    }

    /// Reads, loads and checks the connector as it is now.
    pub async fn load(&self) -> anyhow::Result<Candidate> {
        let (seen, settings) = candidate::read(&self.origin).await;
        self.watch.watch_instead(seen);
        let load = async {
            let settings = settings?;
            let Self { process, origin, .. } = self;
            process.note(&origin.path, &settings);
            let load = Candidate::load(origin.path.clone(), settings, process.clone());
            let candidate = apart(load).await?;
            candidate.claim(origin, process)?;
            Ok(candidate)
        };
        load.await.map_err(with_remedy)
    }

    /// Keeps it running until `stop`. Never ends because of it.
    pub async fn keep(self, first: Option<(Candidate, Membership)>, stop: CancellationToken) {
        let mut first = first;
        let mut trouble = Trouble::default();
        loop {
            let Lived { ran, ended } = self.live(first.take(), &stop).await;
            if stop.is_cancelled() {
                return;
            }
            match ended {
                Ok(Ended::Stopped | Ended::Moves) => trouble = Trouble::default(),
                Err(error) => {
                    let wait = trouble.note(&error, ran, &self.name());
                    self.pause(wait, error.is::<Taken>(), &mut trouble, &stop).await;
                }
            }
        }
    }

    /// Waits for the next attempt, or for a change of the files.
    async fn pause(
        &self,
        wait: Duration,
        for_id: bool,
        trouble: &mut Trouble,
        stop: &CancellationToken,
    ) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(wait) => {}
            () = self.watch.changed() => *trouble = Trouble::default(),
            () = self.process.ids.freed(), if for_id => {}
        }
    }

    /// From loading to the end.
    async fn live(
        &self,
        first: Option<(Candidate, Membership)>,
        stop: &CancellationToken,
    ) -> Lived {
        match self.begin(first, stop).await {
            Ok(Some(life)) => life.live(stop).await,
            Ok(None) => Lived { ran: Duration::ZERO, ended: Ok(Ended::Stopped) },
            Err(error) => Lived { ran: Duration::ZERO, ended: Err(error) },
        }
    }

    /// From loading until it runs, or until `stop`.
    async fn begin(
        &self,
        first: Option<(Candidate, Membership)>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Life<'_>>> {
        let (candidate, membership) = match first {
            Some(first) => first,
            None => tokio::select! {
                () = stop.cancelled() => return Ok(None),
                settled = self.load_and_settle() => settled?,
            },
        };
        let id = candidate.standing.id.clone();
        let taken = self.process.ids.take(&id, &self.origin.path)?;
        let hosted = Hosting::begin(&candidate, &membership);
        let standing = candidate.standing.clone();
        let digest = candidate.digest.clone();
        let member = Member::join(candidate, &membership, &self.process);
        let leave = stop.child_token();
        let (next, versions) = mpsc::channel(1);
        let mut status = member.status();
        let Ok(turn) = self.process.dialling.acquire().await else { return Ok(None) };
        let mut running = JoinSet::new();
        running.spawn(member.run(versions, leave.clone()));
        let since = Instant::now();
        tracing::info!(connector = &*id, "running, version {digest}");
        let is_there = status.wait_for(|status| *status != Status::Connecting);
        // A workspace that cannot be reached is no reason to keep others waiting.
        let _ = timeout(DIAL_TURN, is_there).await;
        drop(turn);
        Ok(Some(Life {
            keeper: self,
            standing,
            membership,
            next,
            running,
            leave,
            since,
            _hosted: hosted,
            _id: taken,
        }))
    }

    async fn load_and_settle(&self) -> anyhow::Result<(Candidate, Membership)> {
        let candidate = self.load().await?;
        let membership = candidate.settle(&self.process).await?;
        Ok((candidate, membership))
    }

    fn name(&self) -> String {
        self.origin.path.display().to_string()
    }
}

/// Loads in a task of its own: a crash there must not end the version that runs. The task ends with
/// whoever waits for it.
async fn apart<T: Send + 'static>(
    loading: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> anyhow::Result<T> {
    let mut task = JoinSet::new();
    task.spawn(loading);
    let loaded = task.join_next().await.context("nothing was loaded")?;
    loaded.context("loading it crashed, which is a fault of this program")?
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.process.forget(&self.origin.path);
    }
}

/// A connector from the moment that it runs.
struct Life<'a> {
    keeper: &'a Keeper,
    standing: Standing,
    membership: Membership,
    next: mpsc::Sender<Prepared>,
    running: JoinSet<()>,
    leave: CancellationToken,
    since: Instant,
    _hosted: Hosting,
    _id: Id,
}

impl Life<'_> {
    async fn live(self, stop: &CancellationToken) -> Lived {
        let since = self.since;
        let ended = self.go_on(stop).await;
        Lived { ran: since.elapsed(), ended }
    }

    async fn go_on(mut self, stop: &CancellationToken) -> anyhow::Result<Ended> {
        loop {
            tokio::select! {
                ended = self.running.join_next() => return how(ended, stop),
                () = self.keeper.watch.changed(), if !stop.is_cancelled() => {}
            }
            let loaded = tokio::select! {
                ended = self.running.join_next() => return how(ended, stop),
                loaded = self.keeper.load() => loaded,
            };
            let moves = match loaded {
                Ok(candidate) => self.replace(candidate).await,
                Err(error) => Err(error),
            };
            match moves {
                Ok(Ended::Stopped) => {}
                Ok(Ended::Moves) => return self.end().await,
                Err(error) => {
                    // Where its file has gone, it is about to be asked to stop.
                    let is_gone = !self.keeper.origin.path.exists();
                    if !(is_gone && self.is_asked_to_stop(stop).await) {
                        self.refuse(&error);
                    }
                }
            }
        }
    }

    /// Lets a new version take over, or says that the connector becomes another one.
    async fn replace(&self, candidate: Candidate) -> anyhow::Result<Ended> {
        if let Err(error) = self.standing.check_same(&candidate.standing) {
            if self.keeper.may_move {
                return Ok(Ended::Moves);
            }
            return Err(
                error.context("a connector stays who it is while it runs; restart for that")
            );
        }
        let hosted = candidate.hosted();
        let prepared = candidate.prepared(self.membership.keys.as_deref(), &self.keeper.process);
        // Where nobody takes it, the connector ends, which is seen next.
        let _ = self.next.send(prepared).await;
        if let Some(hosting) = &self.membership.hosting {
            hosting.replace(hosted);
        }
        Ok(Ended::Stopped)
    }

    async fn is_asked_to_stop(&self, stop: &CancellationToken) -> bool {
        timeout(3 * LOOK, stop.cancelled()).await.is_ok()
    }

    fn refuse(&self, error: &anyhow::Error) {
        let (id, error) = (&*self.standing.id, printable(&format!("{error:#}")));
        tracing::warn!(
            connector = id,
            "the new version is not taken, and the old one goes on: {error}; mend the file, or send \
             SIGHUP to try again"
        );
    }

    /// Leaves the workspace in peace.
    async fn end(mut self) -> anyhow::Result<Ended> {
        self.leave.cancel();
        while self.running.join_next().await.is_some() {}
        Ok(Ended::Moves)
    }
}

fn how(
    ended: Option<Result<(), tokio::task::JoinError>>,
    stop: &CancellationToken,
) -> anyhow::Result<Ended> {
    match ended {
        Some(Err(error)) => Err(error).context("it crashed, which is a fault of this program"),
        _ if stop.is_cancelled() => Ok(Ended::Stopped),
        _ => Err(anyhow!("its link has ended")),
    }
}

/// A connector of this process, as its workspace knows it, until this is dropped.
struct Hosting(Option<(crate::local::Hosting, Arc<str>)>);

impl Hosting {
    fn begin(candidate: &Candidate, membership: &Membership) -> Self {
        let hosting = membership.hosting.clone().map(|hosting| {
            hosting.add(candidate.hosted());
            (hosting, candidate.standing.id.clone())
        });
        Self(hosting)
    }
}

impl Drop for Hosting {
    fn drop(&mut self) {
        if let Some((hosting, id)) = &self.0 {
            hosting.remove(id);
        }
    }
}

/// What went wrong so far, and how long to wait.
struct Trouble {
    backoff: Backoff,
    told: Complaints,
}

impl Default for Trouble {
    fn default() -> Self {
        let backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
        Self { backoff, told: Complaints::new(TELL_AGAIN) }
    }
}

impl Trouble {
    /// Tells it where it is news. Gives the time to wait.
    fn note(&mut self, error: &anyhow::Error, after: Duration, connector: &str) -> Duration {
        if after >= STEADY {
            *self = Self::default();
        }
        let wait = self.backoff.next_wait();
        let text = printable(&format!("{error:#}"));
        if self.told.is_news(&text) {
            tracing::warn!(
                connector,
                "does not run: {text}; trying again in {wait:.0?}, then more and more rarely, and at \
                 once when its files change"
            );
        } else {
            tracing::debug!(connector, "still does not run: {text}; trying again in {wait:.0?}");
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use tokio::time::advance;

    use super::*;
    use crate::local::LocalWorkspace;
    use crate::run::Shared;
    use crate::run::embedded::Embedded;
    use crate::settings::Environment;

    fn process() -> Arc<Process> {
        let announce = |_: &LocalWorkspace| Ok(());
        let listen = ([127, 0, 0, 1], 0).into();
        let embedded = Embedded::new(listen, None, Shared::default().events, announce);
        let process = Process::new(Environment::default(), STEADY, Shared::default(), embedded);
        Arc::new(process.expect("a process"))
    }

    /// Loading was once counted as running, so that what took long to refuse was tried without pause.
    #[tokio::test(start_paused = true)]
    async fn a_connector_that_only_loads_has_not_run() {
        let (long_after, reading) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let read = {
            let (long_after, reading) = (long_after.clone(), reading.clone());
            move || {
                reading.wait();
                long_after.wait();
                Err(anyhow!("no settings"))
            }
        };
        let origin = Origin { path: "users.toml".into(), read: Arc::new(read) };
        let keeper = Keeper::new(process(), origin, true);
        let stop = CancellationToken::new();
        let time_goes_by = async {
            reading.wait();
            advance(STEADY).await;
            long_after.wait();
        };
        let (lived, ()) = tokio::join!(keeper.live(None, &stop), time_goes_by);
        assert!(lived.ended.is_err());
        assert_eq!(lived.ran, Duration::ZERO);
    }

    #[tokio::test]
    async fn a_crash_while_loading_is_an_error() {
        let error = apart::<()>(async { panic!("of the test") }).await.expect_err("it crashed");
        assert!(error.to_string().contains("loading it crashed"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_pauses_grow_up_to_minutes_until_it_has_run_for_a_while() {
        let mut trouble = Trouble::default();
        let error = anyhow!("no reason");
        let short = Duration::from_millis(10);
        let waits: Vec<_> = (0..12).map(|_| trouble.note(&error, short, "test")).collect();
        assert!(waits[0] < Duration::from_secs(2), "{waits:?}");
        let longest = waits[11];
        assert!(longest > LONGEST_RETRY / 2 && longest <= LONGEST_RETRY, "{waits:?}");
        assert!(trouble.note(&error, STEADY, "test") < Duration::from_secs(2));
    }
}
