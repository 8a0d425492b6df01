//! The system calls of this program, by what they are for.
//!
//! What is absent on purpose: tracing and reading other processes (`ptrace`, `process_vm_*`, `kcmp`,
//! `pidfd_getfd`, `process_madvise`); mounts, roots and namespaces (`mount`, `pivot_root`, `chroot`,
//! `unshare`, `setns`, and `clone3`, whose flags cannot be looked at); other users (`setuid` and the
//! like, `personality`); the kernel's larger machines (`bpf`, `io_uring_*`, `perf_event_open`,
//! `userfaultfd`, `keyctl`, `memfd_secret`, message queues, System V); files by handle; modules,
//! `kexec`, `reboot`, swap, quotas, accounting, clocks and hardware ports.

use libc::c_long;

/// When a call is allowed: all of these hold, each of one argument, counted from 0.
pub(super) type When = Vec<(u8, Is)>;

/// What holds of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    /// It is this.
    Equal(u32),
    /// It has none of these bits.
    Without(u32),
    /// Of these bits, it has those.
    Masked(u32, u32),
}

/// Allowed whatever their arguments. The kernel remembers these and asks the filter only once.
pub(super) const ALWAYS: &[(&str, &[c_long])] = &[
    ("reading and writing what is open", IO),
    ("files; which ones is Landlock's part", FILES),
    ("waiting for many things at once, as tokio does", EVENTS),
    ("connections, and the names of hosts", NETWORK),
    ("memory: of the program, of guests and of their compiled code", MEMORY),
    ("threads, and the child that compiles", PROCESSES),
    ("signals, by which wasmtime catches guests that trap", SIGNALS),
    ("time", TIME),
    ("who and where we are", ABOUT),
    ("what is older than the calls above, and only on this processor", OF_OLD),
];

const IO: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_pipe2,
    // How the standard library copies between files and pipes.
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_splice,
];

const FILES: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    #[cfg(not(target_arch = "riscv64"))]
    libc::SYS_renameat,
    libc::SYS_renameat2,
    // The cache's key is made under a name of its own and linked.
    libc::SYS_linkat,
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    // Files of ours are private; SQLite gives its journal the owner of the file beside it.
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_umask,
    libc::SYS_utimensat,
];

const EVENTS: &[c_long] = &[
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_eventfd2,
    libc::SYS_signalfd4,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
];

/// `socket` itself is below.
const NETWORK: &[c_long] = &[
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
];

const MEMORY: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_msync,
    // Keys that should not be swapped out.
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_munlock,
    // New code must be seen by all processors, and the first memory of a guest is shared by all
    // of its instances.
    libc::SYS_membarrier,
    libc::SYS_memfd_create,
];

/// `clone` and `prctl` are below. Which program is executed is Landlock's part.
const PROCESSES: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_setsid,
    libc::SYS_setpgid,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    // The child that compiles makes room for others, and has limits of its own.
    libc::SYS_getpriority,
    libc::SYS_setpriority,
    libc::SYS_getrlimit,
    libc::SYS_setrlimit,
    libc::SYS_prlimit64,
    libc::SYS_getrusage,
];

const SIGNALS: &[c_long] = &[
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_restart_syscall,
];

const TIME: &[c_long] = &[
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getitimer,
    libc::SYS_setitimer,
    libc::SYS_timer_create,
    libc::SYS_timer_settime,
    libc::SYS_timer_gettime,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_delete,
    libc::SYS_times,
];

const ABOUT: &[c_long] = &[
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_capget,
    libc::SYS_getcpu,
    libc::SYS_getrandom,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

/// Newer processors have only the newer calls.
#[cfg(not(target_arch = "x86_64"))]
const OF_OLD: &[c_long] = &[];

#[cfg(target_arch = "x86_64")]
const OF_OLD: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_alarm,
    libc::SYS_arch_prctl,
    libc::SYS_chmod,
    libc::SYS_creat,
    libc::SYS_dup2,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_fork,
    libc::SYS_getdents,
    libc::SYS_getpgrp,
    libc::SYS_link,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pause,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_signalfd,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
    libc::SYS_utimes,
    libc::SYS_vfork,
];

/// Allowed in some cases.
pub(super) fn sometimes() -> Vec<(c_long, Vec<When>)> {
    let each = |argument, values: &[u32]| -> Vec<When> {
        values.iter().map(|value| vec![(argument, Is::Equal(*value))]).collect()
    };
    vec![
        (libc::SYS_socket, sockets()),
        // Pairs within the process: how tokio learns of signals.
        (libc::SYS_socketpair, each(0, &[word(libc::AF_UNIX)])),
        (libc::SYS_clone, vec![vec![(0, Is::Without(NAMESPACES))]]),
        (libc::SYS_ioctl, each(1, IOCTLS)),
        (libc::SYS_prctl, each(0, PRCTLS)),
    ]
}

/// Sockets of TCP and UDP; the kernel's list of our own addresses, without which `getaddrinfo` does not
/// know whether to look for IPv6 ones. None with a path or a name on this machine: behind such ones
/// sit a container engine that gives its clients root, the desktop's bus and the user's keys, and name
/// look-ups that have them for a short-cut have another way. None that is raw, none of a protocol
/// that is rarely used and rarely looked at.
fn sockets() -> Vec<When> {
    const TYPE: u32 = 0xf;
    let mut all = vec![vec![(0, Is::Equal(word(libc::AF_NETLINK))), (2, Is::Equal(0))]];
    for family in [libc::AF_INET, libc::AF_INET6] {
        for (kind, protocol) in
            [(libc::SOCK_STREAM, libc::IPPROTO_TCP), (libc::SOCK_DGRAM, libc::IPPROTO_UDP)]
        {
            for protocol in [0, word(protocol)] {
                all.push(vec![
                    (0, Is::Equal(word(family))),
                    (1, Is::Masked(TYPE, word(kind))),
                    (2, Is::Equal(protocol)),
                ]);
            }
        }
    }
    all
}

/// The flags of `clone` that make a namespace.
const NAMESPACES: u32 = word(
    libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET,
);

/// Written as numbers: their type differs between C libraries. Absent: `TIOCSTI` and `TIOCLINUX`,
/// which type into the operator's terminal.
const IOCTLS: &[u32] = &[
    0x5401,      // TCGETS, and the next: whether it is a terminal
    0x802c_542a, // TCGETS2
    0x5413,      // TIOCGWINSZ: how wide it is
    0x5411,      // SIOCOUTQ: bytes that wait to be sent
    0x541b,      // FIONREAD: bytes that wait to be read
    0x5421,      // FIONBIO: does not wait
    0x5450,      // FIONCLEX, and the next: what a child gets
    0x5451,      // FIOCLEX
    0x8910,      // SIOCGIFNAME, and the next: names of interfaces, in addresses of IPv6
    0x8933,      // SIOCGIFINDEX
    0xc060_6610, // PAGEMAP_SCAN: wasmtime asks which pages a guest has touched
];

const PRCTLS: &[u32] = &[
    word(libc::PR_SET_NAME),
    word(libc::PR_GET_NAME),
    word(libc::PR_SET_VMA),
    word(libc::PR_SET_PDEATHSIG),
    word(libc::PR_GET_PDEATHSIG),
    word(libc::PR_SET_DUMPABLE),
    word(libc::PR_GET_DUMPABLE),
    word(libc::PR_SET_NO_NEW_PRIVS),
    word(libc::PR_GET_NO_NEW_PRIVS),
    word(libc::PR_GET_SECCOMP),
    word(libc::PR_CAPBSET_READ),
];

/// The C library has these numbers in a signed type.
const fn word(number: libc::c_int) -> u32 {
    number.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_never_be_called_is_on_no_list() {
        let allowed: Vec<c_long> = ALWAYS.iter().flat_map(|(_, calls)| *calls).copied().collect();
        let sometimes: Vec<c_long> = sometimes().iter().map(|(call, _)| *call).collect();
        for call in [
            libc::SYS_acct,
            libc::SYS_add_key,
            libc::SYS_bpf,
            libc::SYS_chroot,
            libc::SYS_clone3,
            libc::SYS_delete_module,
            libc::SYS_execveat,
            libc::SYS_fanotify_init,
            libc::SYS_finit_module,
            libc::SYS_fsopen,
            libc::SYS_init_module,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
            libc::SYS_io_uring_setup,
            libc::SYS_kcmp,
            libc::SYS_kexec_load,
            libc::SYS_keyctl,
            libc::SYS_memfd_secret,
            libc::SYS_mknodat,
            libc::SYS_mount,
            libc::SYS_move_mount,
            libc::SYS_name_to_handle_at,
            libc::SYS_open_by_handle_at,
            libc::SYS_open_tree,
            libc::SYS_perf_event_open,
            libc::SYS_personality,
            libc::SYS_pidfd_getfd,
            libc::SYS_pivot_root,
            libc::SYS_process_madvise,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_ptrace,
            libc::SYS_quotactl,
            libc::SYS_reboot,
            libc::SYS_request_key,
            libc::SYS_setgid,
            libc::SYS_setgroups,
            libc::SYS_setns,
            libc::SYS_setresuid,
            libc::SYS_setuid,
            libc::SYS_shmget,
            libc::SYS_swapon,
            libc::SYS_umount2,
            libc::SYS_unshare,
            libc::SYS_userfaultfd,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_ioperm,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_iopl,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_modify_ldt,
        ] {
            assert!(!allowed.contains(&call) && !sometimes.contains(&call), "{call}");
        }
        let both: Vec<_> = sometimes.iter().filter(|call| allowed.contains(call)).collect();
        assert!(both.is_empty(), "a condition counts for nothing: {both:?}");
    }

    #[test]
    fn every_call_is_listed_once() {
        let mut all: Vec<c_long> = ALWAYS.iter().flat_map(|(_, calls)| *calls).copied().collect();
        let listed = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), listed);
    }

    #[test]
    fn only_common_sockets_can_be_made() {
        let allowed = |family: i32, kind: i32, protocol: u32| {
            let arguments = [word(family), word(kind), protocol];
            let holds = |(at, is): &(u8, Is)| {
                let argument = arguments[usize::from(*at)];
                match *is {
                    Is::Equal(value) => argument == value,
                    Is::Without(bits) => argument & bits == 0,
                    Is::Masked(mask, value) => argument & mask == value,
                }
            };
            sockets().iter().any(|when| when.iter().all(holds))
        };
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        for (family, kind, protocol, expected) in [
            (libc::AF_INET, libc::SOCK_STREAM | flags, 0, true),
            (libc::AF_INET6, libc::SOCK_STREAM, word(libc::IPPROTO_TCP), true),
            (libc::AF_INET, libc::SOCK_DGRAM | flags, word(libc::IPPROTO_UDP), true),
            (libc::AF_NETLINK, libc::SOCK_RAW, 0, true),
            (libc::AF_NETLINK, libc::SOCK_RAW, word(libc::NETLINK_NETFILTER), false),
            (libc::AF_INET, libc::SOCK_RAW, 1, false),
            (libc::AF_INET, libc::SOCK_STREAM, 262, false),
            (libc::AF_INET, libc::SOCK_SEQPACKET, 132, false),
            (libc::AF_UNIX, libc::SOCK_STREAM, 0, false),
            (libc::AF_PACKET, libc::SOCK_RAW, 0, false),
            (libc::AF_VSOCK, libc::SOCK_STREAM, 0, false),
            (libc::AF_ALG, libc::SOCK_SEQPACKET, 0, false),
        ] {
            assert_eq!(allowed(family, kind, protocol), expected, "{family} {kind} {protocol}");
        }
    }
}
