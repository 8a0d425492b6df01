//! What libraries read of the system while the process runs, and what may be executed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// How names are looked up: read again whenever one of them changes.
const NAMES: &[&str] = &[
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/networks",
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    // Where resolv.conf leads to, from whatever writes it.
    "/run/NetworkManager",
    "/run/connman",
    "/run/netconfig",
    "/run/resolvconf",
    "/run/systemd/resolve",
];

/// Where systems keep root certificates; rustls-native-certs looks through the same. Never the
/// folders beside them that hold private keys.
const ROOTS: &[&str] = &[
    "/etc/ca-certificates",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/security/certificates",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/opt/etc/ssl/certs",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/share/pki/ca-trust-source",
    "/var/lib/ca-certificates",
];

/// Variables that name other ones, as OpenSSL and rustls-native-certs read them.
const ROOTS_FILE: &str = "SSL_CERT_FILE";
const ROOTS_FOLDERS: &str = "SSL_CERT_DIR";

/// Modules for name look-ups are loaded when the first name is looked up.
const LIBRARIES: &[&str] = &[
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
];

/// Times in local time.
const TIME: &[&str] = &["/etc/localtime", "/usr/share/zoneinfo"];

/// How many processors there are, and how much of them is ours. Of `/proc/self` single files, because
/// beside them lies `mem`, the memory itself, which a child could read as well.
const MACHINE: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self/cgroup",
    "/proc/self/limits",
    "/proc/self/maps",
    "/proc/self/mountinfo",
    // Wasmtime asks it which pages a guest has touched.
    "/proc/self/pagemap",
    "/proc/self/stat",
    "/proc/self/statm",
    "/proc/self/status",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];

const RANDOM: &[&str] = &["/dev/random", "/dev/urandom"];

/// Takes what nobody wants; given to children.
pub(super) const NOWHERE: &str = "/dev/null";

/// Our own program, also after an update has put another file in its place.
const PROGRAM: &str = "/proc/self/exe";

/// What may be read.
pub(super) fn readable() -> Vec<PathBuf> {
    let lists = [NAMES, ROOTS, LIBRARIES, TIME, MACHINE, RANDOM];
    let mut all: Vec<_> = lists.into_iter().flatten().map(PathBuf::from).collect();
    all.extend(roots_of_environment());
    all.extend(loaded().iter().filter_map(|library| Some(library.parent()?.to_owned())));
    if !rustix::process::geteuid().is_root() {
        // Files in it are replaced by new ones, of which a rule for the old one knows nothing: names
        // would no longer be found after a change of network. What is secret in it is readable for
        // root alone, who gets the list above and nothing else.
        all.push("/etc".into());
    }
    all
}

/// What may be executed: the program itself, which compiles components in a child, and the loader
/// of shared libraries, which the kernel starts it with. This keeps shells and tools away; it is no
/// wall against one who already runs code of his own here.
pub(super) fn executable() -> Vec<PathBuf> {
    let is_loader = |path: &&PathBuf| {
        path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("ld-"))
    };
    let loaders = loaded().into_iter().filter(|path| is_loader(&path));
    loaders.chain([PROGRAM.into()]).collect()
}

fn roots_of_environment() -> Vec<PathBuf> {
    let file = std::env::var_os(ROOTS_FILE).map(PathBuf::from);
    let folders = std::env::var_os(ROOTS_FOLDERS).unwrap_or_default();
    let folders = std::env::split_paths(&folders).filter(|path| !path.as_os_str().is_empty());
    // Read once, so the file itself will do.
    folders.chain(file).collect()
}

/// The shared libraries that are in memory now. Their folders have more of them, also where a system
/// keeps them elsewhere.
fn loaded() -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    libraries(&maps)
}

fn libraries(maps: &str) -> Vec<PathBuf> {
    let is_library = |path: &Path| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.ends_with(".so") || name.contains(".so.") || name.starts_with("ld-")
    };
    // The path is the sixth column, and the only one with a slash at its beginning.
    let paths = maps.lines().filter_map(|line| Some(Path::new(line.get(line.find(" /")? + 1..)?)));
    let mut found: Vec<_> = paths.filter(|path| is_library(path)).map(Path::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_in_the_map_of_the_memory() {
        let maps = "\
55d0c8a00000-55d0c8a01000 r--p 00000000 fe:00 1 /usr/bin/my program
7f0a77000000-7f0a77001000 r--p 00000000 fe:00 2 /nix/store/abc-glibc/lib/libc.so.6
7f0a77001000-7f0a77002000 r-xp 00001000 fe:00 2 /nix/store/abc-glibc/lib/libc.so.6
7f0a77100000-7f0a77101000 r--p 00000000 fe:00 3 /lib64/ld-linux-x86-64.so.2
7f0a77200000-7f0a77201000 r--p 00000000 fe:00 4 /lib/ld-musl-aarch64.so.1
7ffe0c000000-7ffe0c021000 rw-p 00000000 00:00 0 [stack]
7ffe0c100000-7ffe0c121000 rw-p 00000000 00:00 0
";
        let found: Vec<_> = libraries(maps);
        let expected = [
            "/lib/ld-musl-aarch64.so.1",
            "/lib64/ld-linux-x86-64.so.2",
            "/nix/store/abc-glibc/lib/libc.so.6",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn nothing_granted_holds_private_keys_or_other_peoples_files() {
        let granted = [NAMES, ROOTS, LIBRARIES, TIME, MACHINE, RANDOM].concat();
        for secret in [
            "/etc/shadow",
            "/etc/ssl/private/key.pem",
            "/etc/pki/tls/private/key.pem",
            "/home/ann/.ssh/id_ed25519",
            "/proc/self/mem",
            "/proc/self/environ",
            "/run/secrets/key",
            "/var/lib/data",
        ] {
            let leak = granted.iter().find(|path| Path::new(secret).starts_with(path));
            assert_eq!(leak, None, "{secret}");
        }
    }
}
