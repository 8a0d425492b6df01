//! Tries out whether the walls stand, by doing what must be refused.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{Command, Stdio};

use libc::c_long;

/// Something that a confined process cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// What was tried.
    pub what: &'static str,
    /// Whether it was refused, where that can be told.
    pub refused: Option<bool>,
}

/// What is tried, and how.
type Attempt = (&'static str, fn() -> io::Result<()>);

/// Tries to get at files, to write where anybody may, and to start a shell. What fails without a wall
/// as well tells nothing; compare with what was found `before`.
pub(crate) fn files(before: &[Probe]) -> Vec<Probe> {
    let tried: [Attempt; 3] = [
        // Everybody may list it.
        ("listing /", || fs::read_dir("/").map(drop)),
        ("writing to the temporary folder", || write(&std::env::temp_dir())),
        ("starting /bin/sh", start),
    ];
    let probe = |(at, (what, try_it)): (usize, Attempt)| {
        let could = before.get(at).is_none_or(|before| before.refused == Some(false));
        let refused = match try_it() {
            Ok(()) => Some(false),
            Err(error) => (could && error.kind() == ErrorKind::PermissionDenied).then_some(true),
        };
        Probe { what, refused }
    };
    tried.into_iter().enumerate().map(probe).collect()
}

fn write(folder: &Path) -> io::Result<()> {
    let file = folder.join(format!("aloma-wasm-{}", crate::ids::fresh_id()));
    fs::OpenOptions::new().write(true).create_new(true).open(&file)?;
    fs::remove_file(&file)
}

fn start() -> io::Result<()> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", ":"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.status().map(drop)
}

/// Makes system calls that are on no list, with arguments by which they change nothing.
pub(crate) fn calls() -> Vec<Probe> {
    /// `PTRACE_PEEKDATA`, of no process.
    const PEEK: c_long = 2;
    /// A socket of the machine, by path or name.
    const UNIX: [c_long; 2] = [libc::AF_UNIX as c_long, libc::SOCK_STREAM as c_long];
    [
        ("ptrace", libc::SYS_ptrace, [PEEK, 0]),
        ("unshare", libc::SYS_unshare, [0, 0]),
        ("bpf", libc::SYS_bpf, [-1, 0]),
        ("io_uring", libc::SYS_io_uring_setup, [0, 0]),
        ("perf_event_open", libc::SYS_perf_event_open, [0, 0]),
        ("keyctl", libc::SYS_keyctl, [-1, 0]),
        ("sockets of this machine", libc::SYS_socket, UNIX),
    ]
    .into_iter()
    .map(|(what, call, arguments)| Probe { what, refused: Some(is_refused(call, arguments)) })
    .collect()
}

#[allow(unsafe_code, reason = "the calls that no library makes are those to be tried")]
fn is_refused(call: c_long, [first, second]: [c_long; 2]) -> bool {
    // SAFETY: no argument is taken as a pointer but zero, which the kernel refuses to read. The calls
    // fail for want of a process, a command or a buffer, do nothing at all (`unshare`), or make
    // a socket, which is closed at once.
    let outcome = unsafe { libc::syscall(call, first, second, 0, 0, 0) };
    let error = io::Error::last_os_error();
    if let Ok(socket) = i32::try_from(outcome)
        && socket > 0
    {
        // SAFETY: it was made above and nobody else has it.
        unsafe { libc::close(socket) };
    }
    outcome < 0 && error.raw_os_error() == Some(libc::ENOSYS)
}
