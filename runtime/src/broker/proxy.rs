//! The operator's forward proxy, and the tunnel through it (`CONNECT`, RFC 9110 9.3.6).
//!
//! A tunnel for plain http, too: the proxy then sees of a request where it goes and no more, and one
//! connection through it is one connection to the target, as without it.

use std::fmt;
use std::io;
use std::net::IpAddr;

use anyhow::bail;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::address::{METADATA_NAMES, special};
use super::limits::{PROXY_ANSWER, PROXY_HEAD};
use super::policy::literal;

/// A proxy and what it asks of its users. It is shown without them.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    host: Host<String>,
    port: u16,
    /// The value of `proxy-authorization`.
    authorization: Option<SecretString>,
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct NoTunnel {
    text: String,
    pub remedy: Remedy,
}

/// What may help where there is no tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Another address of the target.
    Elsewhere,
    /// Another attempt.
    Later,
    /// The operator. Asking again does no good, and repeating a wrong password does harm.
    Settings,
}

const EXAMPLE: &str = "http://proxy.example:3128";

impl Proxy {
    /// Reads `[http://][user:password@]host[:port]`.
    ///
    /// # Errors
    /// Says what is wrong with it, and shows nothing of it: it may hold a password.
    pub fn parse(given: &str) -> anyhow::Result<Self> {
        let given = given.trim();
        let url = if given.contains("://") { given.into() } else { format!("http://{given}") };
        let url = Url::parse(&url)
            .map_err(|error| anyhow::anyhow!("it is no URL ({error}); write it like {EXAMPLE}"))?;
        if url.scheme() != "http" {
            bail!(
                "it begins with {}://, and only http:// is spoken with a proxy; what is https stays \
                 encrypted inside of it; write it like {EXAMPLE}",
                url.scheme()
            );
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            bail!("it holds more than a host and a port; write it like {EXAMPLE}");
        }
        let (Some(host), Some(port @ 1..)) = (url.host(), url.port_or_known_default()) else {
            bail!("it has no host or no port; write it like {EXAMPLE}");
        };
        let proxy = Self { host: host.to_owned(), port, authorization: authorization(&url) };
        proxy.refuse_metadata()?;
        Ok(proxy)
    }

    pub fn host(&self) -> &Host<String> {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether this may be the proxy's address. It is the operator's word, and no guest's, so it may
    /// be a private one; but what hands out credentials is no proxy.
    pub fn judge(address: IpAddr) -> Result<(), String> {
        match special(address) {
            Some(special) if special.metadata => {
                Err(format!("{address} is {} and no proxy", special.what))
            }
            _ => Ok(()),
        }
    }

    fn refuse_metadata(&self) -> anyhow::Result<()> {
        if let Host::Domain(name) = &self.host
            && METADATA_NAMES.contains(&name.trim_end_matches('.'))
        {
            bail!("{name} is for cloud metadata and no proxy");
        }
        literal(&self.host).map_or(Ok(()), Self::judge).map_err(anyhow::Error::msg)
    }

    /// Asks the proxy at the other end for a tunnel to `target`, a host and a port. What comes after
    /// the answer's head stays in the stream.
    pub async fn tunnel(&self, stream: &mut TcpStream, target: &str) -> Result<(), NoTunnel> {
        let asked = timeout(PROXY_ANSWER, async {
            stream.write_all(self.request(target).as_bytes()).await?;
            read_head(stream).await
        });
        let head = match asked.await {
            Ok(Ok(head)) => head,
            Ok(Err(error)) => {
                return Err(self.no_tunnel(target, &error.to_string(), Remedy::Later));
            }
            Err(_) => {
                let text = format!("no answer in {} seconds", PROXY_ANSWER.as_secs());
                return Err(self.no_tunnel(target, &text, Remedy::Later));
            }
        };
        self.check(target, status(&head))
    }

    fn request(&self, target: &str) -> Zeroizing<String> {
        let authorization = self.authorization.as_ref().map_or(String::new(), |value| {
            format!("proxy-authorization: {}\r\n", value.expose_secret())
        });
        let authorization = Zeroizing::new(authorization);
        Zeroizing::new(format!(
            "CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{}\r\n",
            *authorization
        ))
    }

    fn check(&self, target: &str, status: Option<u16>) -> Result<(), NoTunnel> {
        let (text, remedy) = match status {
            Some(200..=299) => return Ok(()),
            Some(407) => (self.credentials_refused(), Remedy::Settings),
            Some(403) => {
                ("status 403: the proxy's own policy is against it".into(), Remedy::Settings)
            }
            // The proxy could not reach it.
            Some(status @ 502..=504) => (format!("status {status}"), Remedy::Elsewhere),
            Some(status @ (408 | 429 | 500..)) => (format!("status {status}"), Remedy::Later),
            Some(status) => (format!("status {status}"), Remedy::Settings),
            None => ("what it answered is no HTTP".into(), Remedy::Settings),
        };
        Err(self.no_tunnel(target, &text, remedy))
    }

    fn credentials_refused(&self) -> String {
        match self.authorization {
            Some(_) => "status 407: it refused the user and password in its URL".into(),
            None => format!(
                "status 407: it wants a user and password; write them into its URL, \
                 http://USER:PASSWORD@{self}"
            ),
        }
    }

    fn no_tunnel(&self, target: &str, text: &str, remedy: Remedy) -> NoTunnel {
        NoTunnel { text: format!("no tunnel to {target} by the proxy {self}: {text}"), remedy }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

fn authorization(url: &Url) -> Option<SecretString> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text| Zeroizing::new(percent_decode_str(text).collect::<Vec<u8>>());
    let (user, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
    let pair = Zeroizing::new([&user[..], b":", &password[..]].concat());
    Some(format!("Basic {}", BASE64_STANDARD.encode(&*pair)).into())
}

/// Takes the head off the stream and not a byte more, by looking before reading.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    const END: &[u8] = b"\r\n\r\n";
    let (mut head, mut next) = (Vec::new(), [0; 1024]);
    loop {
        let seen = stream.peek(&mut next).await?;
        if seen == 0 {
            return Err(io::Error::other("it closed the connection"));
        }
        let before = head.len();
        head.extend_from_slice(&next[..seen]);
        let from = before.saturating_sub(END.len() - 1);
        let end = head[from..].windows(END.len()).position(|window| window == END);
        if let Some(at) = end {
            head.truncate(from + at + END.len());
        }
        if head.len() > PROXY_HEAD {
            return Err(io::Error::other(format!("its answer is over {PROXY_HEAD} bytes")));
        }
        stream.read_exact(&mut next[..head.len() - before]).await?;
        if end.is_some() {
            return Ok(head);
        }
    }
}

/// The status of `HTTP/1.1 200 Connection established`.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|&byte| byte == b'\r').next()?;
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [b'0' | b'1', b' ', code @ ..] = rest else { return None };
    let (code, after) = code.split_at_checked(3)?;
    let is_code = code.iter().all(u8::is_ascii_digit) && matches!(after, [] | [b' ', ..]);
    std::str::from_utf8(code).ok().filter(|_| is_code)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_and_shown_without_its_password() {
        for (given, shown, authorization) in [
            ("http://proxy.example:3128", "proxy.example:3128", None),
            ("http://proxy.example", "proxy.example:80", None),
            ("proxy.example:3128", "proxy.example:3128", None),
            (" http://10.0.0.1:8080/ ", "10.0.0.1:8080", None),
            ("http://[fd00::1]:8080", "[fd00::1]:8080", None),
            ("http://user:hush@p.example:1", "p.example:1", Some("user:hush")),
            ("user:hush@p.example:1", "p.example:1", Some("user:hush")),
            ("http://user@p.example:1", "p.example:1", Some("user:")),
            ("http://d%5Cu:h%40%0d%0au@p.example:1", "p.example:1", Some("d\\u:h@\r\nu")),
        ] {
            let proxy = Proxy::parse(given).unwrap_or_else(|error| panic!("{given}: {error}"));
            assert_eq!(proxy.to_string(), shown, "{given}");
            assert!(!format!("{proxy:?}").contains("hush"));
            let pair = proxy.authorization.map(|value| {
                let value = value.expose_secret().strip_prefix("Basic ").expect("basic").to_owned();
                String::from_utf8(BASE64_STANDARD.decode(value).expect("base64")).expect("text")
            });
            assert_eq!(pair.as_deref(), authorization, "{given}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_explained_without_showing_it() {
        for (given, text) in [
            ("http://", "it is no URL"),
            ("http://user:hush@", "it is no URL"),
            ("http://user:hush@x:99999", "it is no URL"),
            ("https://user:hush@p.example", "it begins with https://"),
            ("socks5://user:hush@p.example:1080", "it begins with socks5://"),
            ("http://p.example/hush", "it holds more than a host and a port"),
            ("http://p.example?hush", "it holds more than a host and a port"),
            ("http://p.example:0", "it has no host or no port"),
            ("http://169.254.169.254", "169.254.169.254 is a cloud metadata address and no proxy"),
            ("http://[fd00:ec2::254]:1", "fd00:ec2::254 is a cloud metadata address and no proxy"),
            ("metadata.google.internal.", "metadata.google.internal. is for cloud metadata"),
        ] {
            let error = Proxy::parse(given).map(|_| ()).expect_err(given).to_string();
            assert!(error.starts_with(text) && !error.contains("hush"), "{given}: {error}");
        }
    }

    #[test]
    fn a_status_is_read_from_http_only() {
        for (head, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 407\r\nx: y\r\n\r\n", Some(407)),
            ("HTTP/1.1 200", Some(200)),
            ("HTTP/1.1 2000\r\n\r\n", None),
            ("HTTP/1.1 20x\r\n\r\n", None),
            ("HTTP/1.1 +20\r\n\r\n", None),
            ("HTTP/2 200\r\n\r\n", None),
            ("SSH-2.0-x\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head:?}");
        }
    }
}
