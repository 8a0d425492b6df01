//! Every number of the broker, with its reason. Those that an operator can change are in
//! `envelope.rs`.

use std::time::Duration;

/// Bytes of a URL. Servers refuse longer ones (8 kB is common); twice that is no one's need.
pub const URL_BYTES: usize = 16 * 1024;

/// Characters of a method. The longest that is registered has 17.
pub(super) const METHOD: usize = 32;

/// Characters of a name: what DNS can hold (RFC 1035).
pub(super) const NAME: usize = 253;

/// Characters of a name between two dots: what DNS can hold (RFC 1035).
pub(super) const NAME_PART: usize = 63;

/// Fields in a request. Servers stop at about 100.
pub const HEADERS: usize = 100;

/// Bytes of all names and values of a request. Servers stop at 8 to 64 kB.
pub const HEADER_BYTES: usize = 64 * 1024;

/// Bytes of an idempotency key. APIs that have one stop at 255.
pub(super) const IDEMPOTENCY_KEY_BYTES: usize = 255;

/// Bytes of an answer's head: far above what servers send, far below what would hurt.
pub(super) const ANSWER_HEAD: usize = 128 * 1024;

/// Fields in an answer.
pub(super) const ANSWER_HEADERS: usize = 256;

/// Bytes of a token endpoint's answer. Tokens have a few kB; some answers carry a profile beside.
pub(super) const TOKEN_ANSWER: usize = 256 * 1024;

/// Bodies that are held for a connector are counted in pieces of this size.
pub(super) const HELD_UNIT: usize = 1024;

/// Requests to one origin that are on the wire at the same time, of all connectors together: what two
/// of them have unless their limits are changed, so that none can fill an origin alone. Servers that speak HTTP/2 commonly take
/// 100 on one connection.
pub(super) const PLACES_PER_ORIGIN: usize = 128;

/// Different routes of one connector whose quota is remembered as spent.
pub(super) const QUIET_ROUTES: usize = 256;

/// How long requests are held back at most because a server said that their quota is spent. Some say
/// it of one kind of request only.
pub(super) const LONGEST_QUIET: Duration = Duration::from_secs(60);

/// The lowest rate that is counted, in requests per second: one a day.
pub(super) const LEAST_RATE: f64 = 1.0 / (24.0 * 60.0 * 60.0);

/// The time that a rate's burst can stand for. The limiter counts in nanoseconds and would overflow
/// past some centuries.
pub(super) const LONGEST_BURST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The time for a look-up of a name. A resolver asks a second server after 5 seconds.
pub(super) const RESOLVE: Duration = Duration::from_secs(8);

/// The time for look-up, connection and TLS together: a lost packet or two, no more.
pub(super) const CONNECT: Duration = Duration::from_secs(15);

/// How long one address is tried alone before the next one is tried beside it (RFC 8305).
pub(super) const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Addresses of one name that are dialled. All are checked.
pub(super) const ADDRESSES: usize = 8;

/// The time that a proxy has to answer: it connects to the target in that time, as we would.
pub(super) const PROXY_ANSWER: Duration = Duration::from_secs(10);

/// Bytes of a proxy's answer. It has a line and a few fields; the body of a refusal is not read.
pub(super) const PROXY_HEAD: usize = 8 * 1024;

/// How long after the end of its call an answer that nobody reads is given up.
pub(super) const UNREAD: Duration = Duration::from_secs(1);

/// Bytes of an answer that refuses a token. They are read before another token is asked for; what says
/// why is short.
pub(super) const REFUSAL_BODY: usize = 64 * 1024;

/// How often over a body may be compressed. Once is usual; twice happens by mistake.
pub(super) const CODINGS: usize = 3;

/// Bytes of a compressed body that may come whatever its limit is: a small text grows.
pub(super) const SMALL_BODY: u64 = 64 * 1024;

/// Bytes that are unpacked at once.
pub(super) const DECODED_CHUNK: usize = 16 * 1024;

/// The largest window of zstd, as a power of two: 8 MB, what HTTP allows (RFC 9659). It is held in
/// memory while a body is read.
pub(super) const ZSTD_WINDOW_LOG: u32 = 23;

/// The largest window of brotli without its extension (RFC 7932).
pub(super) const BROTLI_WINDOW: usize = 1 << 24;

/// The window of gzip and deflate (RFC 1951).
pub(super) const DEFLATE_WINDOW: usize = 1 << 15;

/// The time for one attempt of a request that sets no time limit of its own.
pub(super) const ATTEMPT: Duration = Duration::from_secs(60);

/// The time between two pieces of an answer that is passed on as it comes: as for one attempt.
pub(super) const PAUSE: Duration = ATTEMPT;

/// The time for all attempts and pauses of a request that sets no time limit of its own.
pub(super) const TOTAL: Duration = Duration::from_secs(180);

/// The longest time limit that a request can have: that of the platform's own client.
pub(super) const LONGEST_TOTAL: Duration = Duration::from_secs(30 * 60);

/// The time for a request to a token endpoint: what the Node SDK gives it.
pub(super) const TOKEN_REQUEST: Duration = Duration::from_secs(60);

/// The time for saving a refreshed token. Past it the token is used all the same, because the old
/// one may have ended with the refresh.
pub(super) const SAVE_TOKEN: Duration = Duration::from_secs(10);

/// The longest wait for another process that renews the same token: its request and its saving. Past
/// it we ask as well, because it may have been stopped in the middle.
pub(super) const TOKEN_LOCK: Duration = TOKEN_REQUEST.saturating_add(SAVE_TOKEN);

/// How often to look whether it is done: much less than a token request takes.
pub(super) const LOCK_AGAIN: Duration = Duration::from_millis(20);

/// The pause after a token request that failed: calls in between get the same error.
pub(super) const REFRESH_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause after token requests that fail one after the other; each is twice as long as the
/// one before. An endpoint may ask for more.
pub(super) const LONGEST_REFRESH_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The pause after a token endpoint said that a grant or client is no good, where it could be mended
/// there. Each further one is twice as long.
pub(super) const DEAD_PAUSE: Duration = Duration::from_secs(60);

/// The longest of them, and the longest that a token endpoint can make us wait.
pub(super) const LONGEST_DEAD_PAUSE: Duration = Duration::from_secs(60 * 60);

/// How long before its end a token is renewed, while it still serves: room for a token endpoint that is
/// down for some minutes. A fifth of a shorter life.
pub(super) const TOKEN_AHEAD: Duration = Duration::from_secs(5 * 60);

/// How long before its end a token is not sent any more: it has to be good when it arrives, by a clock
/// that is a little off. A tenth of a shorter life.
pub(super) const TOKEN_LEEWAY: Duration = Duration::from_secs(10);

/// The longest life of a token that is believed: years are no time that a server has thought about.
pub(super) const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// After so long a file that is still unfinished belongs to nobody: writing one takes milliseconds.
pub(super) const UNFINISHED: Duration = Duration::from_secs(60 * 60);

/// Token requests that fail one after the other before health tells it: more than a minute.
pub(super) const TOKEN_FAILURES: u32 = 5;

/// Tokens that are scrubbed from answers after others came in their place: those of a long call, each
/// refused after a short time.
pub(super) const TOKENS_SCRUBBED: usize = 8;

/// How often a call waits for a token of settings that change meanwhile.
pub(super) const TOKEN_TURNS: usize = 3;

/// The time that a signed assertion is good for unless the settings say otherwise.
pub(super) const ASSERTION: Duration = Duration::from_secs(5 * 60);

/// The longest: what Google accepts, which accepts the most.
pub(super) const LONGEST_ASSERTION: Duration = Duration::from_secs(60 * 60);

/// So much earlier than now an assertion says it was issued, for servers whose clock is behind.
pub(super) const ASSERTION_SKEW: Duration = Duration::from_secs(10);

/// Characters of a credential's name.
pub(super) const CREDENTIAL_NAME: usize = 64;

/// Bytes of a file with a secret. The largest are certificate chains and keys of a few kB.
pub(super) const SECRET_FILE: u64 = 64 * 1024;

/// Bytes of an entry of the token store: twice what a token endpoint may answer.
pub(super) const ENTRY: u64 = 2 * TOKEN_ANSWER as u64;

/// How often a request is sent unless it says otherwise: the platform's tutorial.
pub(super) const ATTEMPTS: u32 = 3;

/// How often a request is sent at most, whatever it says.
pub(super) const MOST_ATTEMPTS: u32 = 10;

/// The first pause: the platform's tutorial. Each further one is twice as long, unless its grant says
/// otherwise.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause that we choose ourselves. A server may ask for more.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is added to a pause at most, as a part of it, so that clients do not return in step.
pub(super) const JITTER: f64 = 0.3;

/// How much longer than the last one a decorrelated pause can be. Three is what the method's authors
/// found best: the mean still grows by half each time.
pub(super) const DECORRELATED_GROWTH: u32 = 3;

/// Repeats that a connector may make at once, at least: what one request with all its attempts makes.
/// Else as many as it may have requests on the wire, so that a server's hiccup costs none of them.
pub(super) const LEAST_REPEATS: usize = MOST_ATTEMPTS as usize;

/// Requests that give a connector one more repeat. A server in trouble gets a fifth more than usual,
/// not three times as much.
pub(super) const REQUESTS_PER_REPEAT: f64 = 5.0;

/// How often time gives a connector one more repeat, for one that makes few requests.
pub(super) const REPEAT_EVERY: Duration = Duration::from_secs(10);

/// Failures in a row that open a breaker: three requests with all their attempts, and one more.
pub(super) const BREAKER_FAILURES: u32 = 10;

/// How long a breaker stays open at first: a server that restarts is not kept waiting.
pub(super) const BREAKER_FIRST_PAUSE: Duration = Duration::from_secs(2);

/// How long a breaker stays open at most: an operator who repaired a server sees it used within a
/// minute.
pub(super) const BREAKER_LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Failing servers of one connector that are remembered. A guest can make up names without end.
pub(super) const BREAKERS: usize = 256;

/// How long an idle connection is kept. Servers commonly close theirs after 60 to 75 seconds.
pub(super) const IDLE_CONNECTION: Duration = Duration::from_secs(50);

/// Connections of one connector, past which the idle ones are closed. Under a wildcard a guest can make
/// up origins without end, and a process commonly has 1024 files.
pub(super) const CONNECTIONS: usize = 256;

/// Idle connections kept for one origin.
pub(super) const IDLE_PER_ORIGIN: usize = 32;

/// Bytes of an error's text. It may quote a URL; a guest may keep hundreds of errors.
pub(super) const ERROR_TEXT: usize = 4 * 1024;

/// Different refusals of one connector that the log tells. A guest can make up host names without
/// end.
pub(super) const REFUSALS_TOLD: usize = 100;

/// Attempts of one request that its record lists: more than one request makes, but for many
/// redirects whose every hop is tried to the last. All are counted.
pub(super) const ATTEMPTS_TOLD: usize = 32;

/// Hops of one request that its record lists.
pub(super) const HOPS_TOLD: usize = 16;

/// Segments' encodings that are looked through in search of dot segments. Nobody encodes a path more
/// than twice.
pub(super) const PATH_DECODINGS: usize = 4;

/// Bytes of a path that a refusal shows. What is longer is cut at a segment.
pub(super) const REFUSED_PATH: usize = 120;

/// Redirects that a grant can let a request follow: what browsers follow.
pub(super) const MOST_REDIRECTS: u32 = 20;

/// Requests a second that a grant can be limited to, and its largest burst. Who needs more needs no
/// limit.
pub(super) const MOST_REQUESTS_PER_SECOND: u32 = 10_000;

/// The slowest rate that a grant can set, in requests a second: about one in a quarter of an hour. A
/// slower one only fails.
pub(super) const SLOWEST_RATE: f64 = 0.001;

/// Requests at once that a grant can set.
pub(super) const GRANT_AT_ONCE: usize = 1024;

/// MiB of a body that a grant can set: a TiB, so that a mistyped number is found.
pub(super) const GRANT_BODY_MIB: usize = 1 << 20;
