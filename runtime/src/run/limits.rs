//! The numbers of a process with connectors: how often it looks, how patient it is, how much at once.

use std::time::Duration;

/// How often the files of connectors are looked at. Each look is one `stat` a file, so that a
/// thousand connectors cost well below one per cent of a core, and nobody waits long.
pub const LOOK: Duration = Duration::from_secs(1);

/// The first wait before a connector is tried again that does not run.
pub const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest. A change of its files cuts it short, so it is for what comes right by itself.
pub const LONGEST_RETRY: Duration = Duration::from_secs(5 * 60);

/// A connector that ran this long worked: its next trouble is a new one.
pub const STEADY: Duration = Duration::from_secs(60);

/// The same trouble is told again after this long.
pub const TELL_AGAIN: Duration = Duration::from_secs(60 * 60);

/// Connectors that go to their workspaces at once, so that a thousand of them do not open a thousand
/// connections in one instant.
pub const DIALLING: usize = 32;

/// How long one of them keeps its turn. A workspace that does not answer must not hold up the others.
pub const DIAL_TURN: Duration = Duration::from_secs(2);

/// Settings files in the folders of one process. Beyond it, none is taken up.
pub const CONNECTORS: usize = 4096;

/// Bytes of a settings file that are looked at to see whether it is one.
pub const GLANCE: u64 = 1 << 20;
