//! What one call may use up of the network: requests, and bytes in both directions.
//!
//! Not to be confused with what the connector as a whole may have at once (`held`, `traffic`): this is
//! never given back. It counts what records count: bodies, also those of attempts that came to
//! nothing. What is refused beforehand uses nothing up.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::request::Error;
use crate::envelope::{Breach, Limit, Limits};

/// What one call may use up of the network, and has used up. All its requests share it.
#[derive(Debug)]
pub struct Allowance {
    requests: Meter,
    sent: Meter,
    received: Meter,
    decoded: Meter,
}

/// Which bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Bytes of a request that is sent while it is made.
    Sent,
    /// Bytes of an answer as they come over the wire.
    Received,
    /// Bytes of an answer after decompression.
    Decoded,
}

impl Default for Allowance {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

impl Allowance {
    /// That of a new call, which has used up nothing.
    pub fn new(limits: &Limits) -> Self {
        Self {
            requests: Meter::new(limits, Limit::Requests),
            sent: Meter::new(limits, Limit::Sent),
            received: Meter::new(limits, Limit::Received),
            decoded: Meter::new(limits, Limit::Decoded),
        }
    }

    /// Counts a request that is about to be sent, with a body of so many bytes, as far as that is
    /// known. However often it is repeated, it is one.
    pub(super) fn request(&self, bytes: u64) -> Result<(), Breach> {
        self.allows(bytes)?;
        self.requests.take(1)
    }

    /// Whether an attempt may be made: it sends so many bytes, and what it makes the server do is not
    /// to be lost because its answer cannot be read.
    pub(super) fn allows(&self, bytes: u64) -> Result<(), Breach> {
        self.received.check()?;
        self.decoded.check()?;
        self.sent.fits(bytes)
    }

    /// Counts a body that is sent whole, before it is.
    pub(super) fn send(&self, bytes: u64) -> Result<(), Breach> {
        self.allows(bytes)?;
        self.sent.take(bytes)
    }

    /// Counts a piece of a body.
    fn piece(&self, flow: Flow, bytes: u64) -> Result<(), Breach> {
        match flow {
            // The one who makes it would go on with the next piece, and the next request.
            Flow::Sent => self.sent.take(bytes).inspect_err(|_| self.sent.use_up()),
            // Came already.
            Flow::Received => self.received.add(bytes),
            Flow::Decoded => self.decoded.add(bytes),
        }
    }
}

/// One thing that can be used up.
#[derive(Debug)]
struct Meter {
    breach: Breach,
    most: u64,
    used: AtomicU64,
}

impl Meter {
    fn new(limits: &Limits, limit: Limit) -> Self {
        let (most, used) = (limits.bytes(limit) as u64, AtomicU64::new(0));
        Self { breach: limits.breach(limit), most, used }
    }

    /// Uses so much, if it is left.
    fn take(&self, more: u64) -> Result<(), Breach> {
        let less = |used: u64| used.checked_add(more).filter(|&used| used <= self.most);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.map(drop).map_err(|_| self.breach)
    }

    /// Uses so much, whether it is left or not.
    fn add(&self, more: u64) -> Result<(), Breach> {
        self.used.fetch_add(more, Ordering::Relaxed);
        self.check()
    }

    /// Leaves nothing.
    fn use_up(&self) {
        self.used.fetch_max(self.most, Ordering::Relaxed);
    }

    /// Whether so much is left.
    fn fits(&self, more: u64) -> Result<(), Breach> {
        let left = self.most.saturating_sub(self.used.load(Ordering::Relaxed));
        if more <= left { Ok(()) } else { Err(self.breach) }
    }

    /// Whether no more than the limit was used.
    fn check(&self) -> Result<(), Breach> {
        let used = self.used.load(Ordering::Relaxed);
        if used <= self.most { Ok(()) } else { Err(self.breach) }
    }
}

/// A body whose bytes are counted, and which ends with an error where they are too many.
pub(super) struct Metered<B> {
    body: B,
    flow: Flow,
    allowance: Arc<Allowance>,
    is_over: bool,
}

impl<B> Metered<B> {
    pub fn new(body: B, flow: Flow, allowance: &Arc<Allowance>) -> Self {
        Self { body, flow, allowance: allowance.clone(), is_over: false }
    }
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for Metered<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref);
        let bytes = data.map_or(0, Bytes::len) as u64;
        match self.allowance.piece(self.flow, bytes) {
            Ok(()) => Poll::Ready(frame),
            Err(breach) => {
                self.is_over = true;
                Poll::Ready(Some(Err(breach.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn allowance() -> Allowance {
        let limits = [(Limit::Requests, 3), (Limit::Sent, 1), (Limit::Received, 2)];
        let with = |limits: Limits, (limit, value)| limits.with(limit, value);
        Allowance::new(&limits.into_iter().fold(Limits::default(), with).with(Limit::Decoded, 4))
    }

    fn limit(outcome: Result<(), Breach>) -> Option<Limit> {
        outcome.err().map(|breach| breach.limit)
    }

    #[test]
    fn each_thing_is_used_up_by_itself_and_stays_so() {
        let call = allowance();
        assert_eq!(limit(call.request(MIB + 1)), Some(Limit::Sent), "uses nothing up");
        for _ in 0..3 {
            assert_eq!(call.request(MIB), Ok(()));
        }
        for _ in 0..2 {
            assert_eq!(limit(call.request(0)), Some(Limit::Requests));
            assert_eq!(call.allows(MIB), Ok(()), "repeats are no requests");
        }
        assert_eq!(call.send(MIB - 1), Ok(()));
        assert_eq!(limit(call.send(2)), Some(Limit::Sent));
        assert_eq!(call.send(1), Ok(()), "what fits is sent");
        assert_eq!((call.send(0), limit(call.send(1))), (Ok(()), Some(Limit::Sent)));
    }

    #[test]
    fn a_body_in_pieces_that_does_not_fit_uses_up_what_is_left() {
        let call = allowance();
        assert_eq!(call.piece(Flow::Sent, MIB - 10), Ok(()));
        assert_eq!(limit(call.piece(Flow::Sent, 11)), Some(Limit::Sent));
        assert_eq!(limit(call.piece(Flow::Sent, 1)), Some(Limit::Sent));
        assert_eq!(limit(call.request(1)), Some(Limit::Sent));
        assert_eq!(call.request(0), Ok(()), "what sends no body goes on");
    }

    #[test]
    fn nothing_is_sent_whose_answer_could_not_be_read() {
        for (flow, most, told) in
            [(Flow::Received, 2 * MIB, Limit::Received), (Flow::Decoded, 4 * MIB, Limit::Decoded)]
        {
            let call = allowance();
            assert_eq!(call.piece(flow, most), Ok(()));
            assert_eq!(call.request(1), Ok(()), "{flow:?}: nothing was refused yet");
            assert_eq!(limit(call.piece(flow, 1)), Some(told));
            assert_eq!(limit(call.request(0)), Some(told));
            assert_eq!(limit(call.send(0)), Some(told));
            assert_eq!(call.requests.used.load(Ordering::Relaxed), 1);
        }
    }
}
