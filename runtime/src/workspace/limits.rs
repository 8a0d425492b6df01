//! The link's numbers: how long it waits and how much it keeps.

use std::time::Duration;

/// The protocol's own limit for `connect` and `register`; dialling the websocket gets the same.
const HTTP: Duration = Duration::from_secs(60);
/// What the Node SDK does; proxies in between count on a sign of life at least every minute.
const PING_EVERY: Duration = Duration::from_secs(30);
/// The protocol's own: the workspace must ping more often than this.
const SERVER_SILENCE: Duration = Duration::from_secs(45);
/// Two of our pings. A peer that answers none of them reads nothing else either.
const PONG_PATIENCE: Duration = Duration::from_secs(60);
/// How long one write may block, before `SLOWEST_LINK` adds the time that its size needs.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// What the Node SDK waits after a dropped socket.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// A workspace that comes back is found within a minute; one that is down is not hammered.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// A connection that lasted this long worked, so the next loss starts again at the first wait.
const STABLE_AFTER: Duration = Duration::from_secs(30);
/// What the Node SDK meant to give the workspace for an answer.
const REQUEST: Duration = Duration::from_secs(5 * 60);
/// Container platforms kill ten seconds after they ask; flush, close and disconnect fit in.
const FLUSH: Duration = Duration::from_secs(5);
/// A close frame is a courtesy.
const CLOSE: Duration = Duration::from_secs(1);
/// `disconnect` is a courtesy, too.
const DISCONNECT: Duration = Duration::from_secs(2);
/// The same complaint goes to the log again after this long.
const COMPLAIN_AGAIN: Duration = Duration::from_secs(10 * 60);

/// How long one address of the workspace may take to accept, so that the next gets its turn.
pub(super) const DIAL_ONE: Duration = Duration::from_secs(10);
/// The slowest line, in bytes a second, on which a large answer still counts as moving.
const SLOWEST_LINK: usize = 64 * 1024;

/// An answer to `connect` or `register` is a few dozen bytes.
pub(super) const HTTP_ANSWER_BYTES: usize = 1024 * 1024;
/// As `fetch` in Node, rounded down to what anyone needs.
pub(super) const REDIRECTS: usize = 10;
/// Connections that are kept for the next call. A thousand connectors that start together need no
/// more: the calls are short.
pub(super) const IDLE_CONNECTIONS: usize = 8;
/// Bytes read from a socket at once, which every idle connector holds. The library's own 128 KiB
/// would be most of what a thousand of them weigh; packets are smaller than this.
pub(super) const READ_BUFFER: usize = 16 * 1024;
/// What the Node SDK receives at most.
pub(super) const MESSAGE_BYTES: usize = 100 * 1024 * 1024;
/// Packets are batched up to this size. It keeps pings and pongs moving between the messages.
pub(super) const BATCH_BYTES: usize = 256 * 1024;
/// One packet of ours: what the workspace, built like the SDK, receives at most, less the wrapping.
pub(super) const PACKET_BYTES: usize = MESSAGE_BYTES - 1024;
/// What a packet weighs beside its value: keys, ids and bookkeeping.
pub(super) const PACKET_OVERHEAD: usize = 256;
/// Packets waiting to be written. Callers wait when it is full.
pub(super) const OUTBOX_PACKETS: usize = 4096;
/// Their bytes: a minute offline of a busy connector, and still half of a small container.
pub(super) const OUTBOX_BYTES: usize = 64 * 1024 * 1024;
/// Refusals waiting beside them: the reader must not wait, and a refusal is small.
pub(super) const OUTBOX_REFUSALS: usize = 4096;
/// Written packets that are kept until the workspace is known to have them.
pub(super) const UNCONFIRMED_PACKETS: usize = 4096;
/// Their bytes.
pub(super) const UNCONFIRMED_BYTES: usize = 64 * 1024 * 1024;
/// How often one packet is written. More says that the packet itself breaks the connection.
pub(super) const SENDINGS: u8 = 4;
/// Requests of ours that wait for an answer.
pub(super) const PENDING: usize = 1024;
/// Requests of the workspace that wait for the dispatcher.
pub(super) const INBOX: usize = 1024;
/// Bytes of the calls that wait or are under way, counted for those that are larger than a page or two:
/// four of the largest at least, and hundreds of usual files.
pub(super) const INBOX_BYTES: usize = 128 * 1024 * 1024;
/// Calls below this are bounded by their number.
pub(super) const SMALL_CALL: usize = 16 * 1024;
/// Packets of one message that are read. Far more than can be taken at once; a hundred bytes each.
pub(super) const PACKETS_OF_A_MESSAGE: usize = 100_000;
/// A query's path, task, namespace and `sticky`, each.
pub(super) const QUERY_TEXT: usize = 16 * 1024;
/// Values in one `set-config`. Opening one costs about a millisecond, and forms are far shorter.
pub(super) const VALUES: usize = 256;
/// One of them as it comes, with its key: a certificate chain, sealed, many times over.
pub(super) const VALUE_BYTES: usize = 1024 * 1024;
/// All of them together, since what came last is kept: a new version may have other fields.
pub(super) const VALUES_BYTES: usize = 4 * 1024 * 1024;
/// Elements of a query that count, as in the Node SDK.
pub(super) const QUERY_ELEMENTS: usize = 20;
/// An error's text. It is for people, and comes from guests.
pub(super) const ERROR_BYTES: usize = 64 * 1024;

/// How long everything may take. The defaults are what the protocol asks; tests shorten them.
#[derive(Clone, Debug)]
pub struct Timing {
    /// One HTTP call, or one websocket dialled and shaken hands with.
    pub http: Duration,
    /// Our ping.
    pub ping_every: Duration,
    /// The connection is replaced after this long without a ping of the workspace.
    pub server_silence: Duration,
    /// The connection is replaced when a ping of ours is unanswered for this long.
    pub pong_patience: Duration,
    /// The connection is replaced when a small write blocks for this long.
    pub write_patience: Duration,
    /// Bytes a second that a large write must make at least.
    pub slowest_link: usize,
    /// The first wait after a loss.
    pub first_retry: Duration,
    /// The longest wait.
    pub longest_retry: Duration,
    /// A connection that lasted this long resets the waits.
    pub stable_after: Duration,
    /// A request of ours, from asking to the answer.
    pub request: Duration,
    /// Writing what is left at shutdown.
    pub flush: Duration,
    /// The close handshake.
    pub close: Duration,
    /// The `disconnect` call.
    pub disconnect: Duration,
    /// The same complaint is logged again after this long.
    pub complain_again: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            http: HTTP,
            ping_every: PING_EVERY,
            server_silence: SERVER_SILENCE,
            pong_patience: PONG_PATIENCE,
            write_patience: WRITE_PATIENCE,
            slowest_link: SLOWEST_LINK,
            first_retry: FIRST_RETRY,
            longest_retry: LONGEST_RETRY,
            stable_after: STABLE_AFTER,
            request: REQUEST,
            flush: FLUSH,
            close: CLOSE,
            disconnect: DISCONNECT,
            complain_again: COMPLAIN_AGAIN,
        }
    }
}
