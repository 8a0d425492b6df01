//! Each test confines a process of its own: this program, started again for that test alone.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;

const INSIDE: &str = "ALOMA_WASM_TEST_INSIDE";

/// Runs the rest of a test in a process of its own, which gets this folder.
fn in_a_child(test: &str, inside: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os(INSIDE) {
        return inside(Path::new(&folder));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let name = format!("confine::tests::{test}");
    let output = Command::new(std::env::current_exe().expect("a test knows its own path"))
        .args(["--exact", &name, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, folder.path())
        .output()
        .expect("this program can be started");
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (shown(&output.stdout), shown(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "there is no test of that name\n{out}");
}

/// What the kernel has of Landlock; 0 for nothing.
fn abi(report: &Report) -> u32 {
    let Wall::Stands(how) = &report.files else { return 0 };
    how.strip_prefix("ABI ").and_then(|abi| abi.parse().ok()).expect("a version")
}

fn has_seccomp(report: &Report) -> bool {
    matches!(report.calls, Wall::Stands(_))
}

#[track_caller]
fn refused<T>(outcome: io::Result<T>) {
    let error = outcome.err().expect("it is refused");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

#[track_caller]
fn does_not_exist<T>(outcome: io::Result<T>) {
    let error = outcome.err().expect("it is refused");
    assert_eq!(error.raw_os_error(), Some(libc::ENOSYS), "{error}");
}

#[test]
fn a_refusal_says_what_to_do_once_the_process_is_confined() {
    in_a_child("a_refusal_says_what_to_do_once_the_process_is_confined", |folder| {
        fs::write(folder.join("key"), "").expect("a file");
        let told = |error: io::Error| with_remedy(error.into()).to_string();
        let refused = || io::Error::from_raw_os_error(libc::EACCES);
        assert!(!told(refused()).contains("--no-confinement"), "it was not this program's doing");
        if abi(&confine(&Needs::default())) == 0 {
            return;
        }
        let error = fs::read(folder.join("key")).expect_err("it is refused");
        assert!(told(error).ends_with("or use --no-confinement"));
        let missing = io::Error::from_raw_os_error(libc::ENOENT);
        assert!(!told(missing).contains("--no-confinement"), "that would not help");
    });
}

#[test]
fn files_outside_are_refused_and_our_own_are_not() {
    in_a_child("files_outside_are_refused_and_our_own_are_not", |folder| {
        let at = |name: &str| -> PathBuf { folder.join(name) };
        for name in ["connector", "other"] {
            fs::create_dir(at(name)).expect("a folder");
            fs::write(at(name).join("users.wasm"), "1").expect("a file");
        }
        let needs = Needs::default()
            .read_file(at("connector/users.wasm"))
            .keep_folder(at("cache/compiled"))
            .write_file(at("record.jsonl"));
        if abi(&confine(&needs)) == 0 {
            return;
        }
        let read = |name: &str| fs::read(at(name));
        read("connector/users.wasm").expect("the component");
        fs::read_dir(at("connector")).expect("its folder is looked through");
        refused(read("other/users.wasm"));
        refused(fs::read_dir(folder));
        refused(fs::write(at("connector/users.wasm"), "2"));
        refused(fs::remove_file(at("connector/users.wasm")));
        refused(fs::write(at("other/new"), ""));
        refused(fs::write(at("cache/new"), ""));
        let cached = |name: &str| at("cache/compiled").join(name);
        fs::write(cached("a"), "code").expect("the cache is written");
        fs::rename(cached("a"), cached("b")).expect("an entry gets its name");
        fs::hard_link(cached("b"), cached("c")).expect("a key gets its name");
        fs::create_dir(cached("d")).expect("a folder in it");
        fs::rename(cached("b"), cached("d/b")).expect("an entry is moved");
        fs::remove_file(cached("c")).expect("an entry goes");
        fs::rename(cached("d/b"), at("b")).expect_err("nothing leaves the folder");
        std::os::unix::fs::symlink(folder, cached("e")).expect_err("nothing leads out of it");
        fs::OpenOptions::new().append(true).open(at("record.jsonl")).expect("the recording");
        fs::OpenOptions::new().write(true).open("/dev/null").expect("nowhere");
        fs::read("/proc/self/status").expect("our own numbers");
        refused(fs::read("/proc/self/environ"));
        refused(fs::OpenOptions::new().write(true).open("/proc/self/mem"));
        refused(fs::read("/proc/1/status"));
    });
}

#[test]
fn a_component_that_is_replaced_can_be_read_again() {
    in_a_child("a_component_that_is_replaced_can_be_read_again", |folder| {
        let connector = folder.join("connector");
        fs::create_dir(&connector).expect("a folder");
        let file = connector.join("users.wasm");
        fs::write(&file, "1").expect("a file");
        let (replace, replaced) = std::sync::mpsc::channel::<()>();
        let (done, is_done) = std::sync::mpsc::channel();
        // A thread from before is an operator who is not confined. Below ABI 8, that is.
        let other = (connector.join("new"), file.clone());
        let operator = std::thread::spawn(move || {
            replaced.recv().expect("the word");
            let outcome = fs::write(&other.0, "2").and_then(|()| fs::rename(other.0, other.1));
            done.send(outcome).expect("somebody waits");
        });
        let report = confine(&Needs::default().read_file(&file));
        replace.send(()).expect("somebody waits");
        is_done.recv().expect("an answer").expect("the operator may write");
        operator.join().expect("it ended");
        assert_eq!(fs::read_to_string(&file).expect("the new one"), "2", "{report:?}");
    });
}

#[test]
fn only_this_program_can_be_started_and_it_can_be_stopped() {
    in_a_child("only_this_program_can_be_started_and_it_can_be_stopped", |_| {
        let report = confine(&Needs::default());
        let mut own = Command::new("/proc/self/exe");
        own.arg("--list").stdin(Stdio::null()).stdout(Stdio::piped());
        let listed = own.output().expect("this program is started");
        assert!(String::from_utf8_lossy(&listed.stdout).contains("confine::tests"));
        let mut child = own.stdout(Stdio::piped()).spawn().expect("this program is started");
        child.kill().expect("it is ours to kill");
        child.wait().expect("it ended");
        if abi(&report) > 0 {
            refused(Command::new("/bin/sh").arg("-c").arg(":").status());
            refused(Command::new("/bin/true").status());
        }
    });
}

#[test]
fn connections_go_out_and_none_comes_in_but_at_the_port_that_was_granted() {
    const NAME: &str = "connections_go_out_and_none_comes_in_but_at_the_port_that_was_granted";
    in_a_child(NAME, |_| {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let granted = free.local_addr().expect("an address");
        drop(free);
        let report = confine(&Needs::default().listen(granted.port()));
        TcpListener::bind(granted).expect("the port that was granted");
        if abi(&report) >= 4 {
            refused(TcpListener::bind("127.0.0.1:0"));
        }
        TcpStream::connect(server.local_addr().expect("an address")).expect("any port");
        UdpSocket::bind("127.0.0.1:0").expect("names are asked for by UDP");
        let names = std::net::ToSocketAddrs::to_socket_addrs(&("localhost", 1));
        assert!(names.expect("localhost is found").count() > 0);
    });
}

#[test]
fn system_calls_that_are_on_no_list_do_not_exist() {
    in_a_child("system_calls_that_are_on_no_list_do_not_exist", |_| {
        let before = std::thread::spawn(|| {
            std::thread::park();
            UnixDatagram::unbound()
        });
        let report = confine(&Needs::default());
        if !has_seccomp(&report) {
            return;
        }
        for probe in probe::calls() {
            assert_eq!(probe.refused, Some(true), "{}", probe.what);
        }
        does_not_exist(UnixDatagram::unbound());
        before.thread().unpark();
        does_not_exist(before.join().expect("it ended"));
        let _ = UnixStream::pair().expect("a pair within the process");
        std::thread::spawn(|| ()).join().expect("threads are made");
        assert!(rustix::thread::no_new_privs().expect("an answer"));
    });
}

#[test]
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "no library calls by these numbers")]
fn there_is_no_way_around_the_list_by_other_numbers() {
    in_a_child("there_is_no_way_around_the_list_by_other_numbers", |_| {
        const X32: libc::c_long = 0x4000_0000;
        if !has_seccomp(&confine(&Needs::default())) {
            return;
        }
        for call in [X32 + libc::SYS_getpid, X32 + libc::SYS_ptrace, 5000] {
            // SAFETY: `getpid` takes nothing, `ptrace` of process 0 finds none, and there is no
            // call of the last number.
            let outcome = unsafe { libc::syscall(call, 2, 0, 0, 0) };
            assert_eq!(outcome, -1, "{call}");
            does_not_exist::<()>(Err(io::Error::last_os_error()));
        }
    });
}

#[test]
#[allow(unsafe_code, reason = "no library makes such calls")]
fn calls_are_told_apart_by_their_arguments() {
    in_a_child("calls_are_told_apart_by_their_arguments", |_| {
        if !has_seccomp(&confine(&Needs::default())) {
            return;
        }
        const TIOCSTI: libc::c_long = 0x5412;
        const TIOCLINUX: libc::c_long = 0x541c;
        let user = libc::c_long::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
        let raw = [libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP].map(libc::c_long::from);
        for (call, [first, second, third]) in [
            (libc::SYS_ioctl, [0, TIOCSTI, 0]),
            (libc::SYS_ioctl, [0, TIOCLINUX, 0]),
            // Bits above those that the kernel looks at make no other call of it.
            (libc::SYS_ioctl, [0, TIOCSTI | 1 << 40, 0]),
            (libc::SYS_clone, [user, 0, 0]),
            (libc::SYS_socket, raw),
            (libc::SYS_prctl, [libc::c_long::from(libc::PR_SET_SECCOMP), 0, 0]),
        ] {
            // SAFETY: they are refused; were they not, they would take no argument for a pointer but
            // zero, and the new process would have a copy of this one's stack.
            let outcome = unsafe { libc::syscall(call, first, second, third, 0, 0) };
            assert_eq!(outcome, -1, "{call}");
            does_not_exist::<()>(Err(io::Error::last_os_error()));
        }
    });
}

#[test]
fn what_is_missing_is_told_and_what_stands_as_well() {
    let report = Report {
        files: Wall::Missing("too old".into()),
        calls: Wall::Stands("198 system calls".into()),
    };
    let names = report.walls().map(|(name, wall)| (name, matches!(wall, Wall::Stands(_))));
    assert_eq!(names, [("Landlock", false), ("seccomp", true)]);
}
