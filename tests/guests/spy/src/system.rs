//! What a program usually finds around it.

use std::io::Read;
use std::net::{TcpStream, UdpSocket};
use std::{env, fs};

/// Environment, arguments, input, files and sockets: as texts, whatever they are.
pub fn look_around(url: &str) -> Vec<String> {
    let authority = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let mut input = Vec::new();
    let read = std::io::stdin().take(1 << 16).read_to_end(&mut input);
    let mut seen = vec![
        format!("{:?}", env::vars_os().collect::<Vec<_>>()),
        format!("{:?}", env::args_os().collect::<Vec<_>>()),
        format!("{:?}", env::current_dir()),
        format!("{read:?} {input:?}"),
        format!("{:?}", TcpStream::connect(authority)),
        format!("{:?}", UdpSocket::bind("0.0.0.0:0")),
    ];
    for path in ["/", ".", "/proc/self/environ", "/proc/self/mem", ".env", "connector.toml"] {
        seen.push(format!("{path}: {:?}", fs::read(path)));
        let entries = fs::read_dir(path).map(|entries| entries.flatten().collect::<Vec<_>>());
        seen.push(format!("{path}: {entries:?}"));
    }
    seen
}
