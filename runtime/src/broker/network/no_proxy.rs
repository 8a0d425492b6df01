//! The targets that no proxy is used for.

use std::net::IpAddr;

use anyhow::{Context as _, bail};
use url::Host;

/// A list of them. Empty, it holds none.
#[derive(Clone, Debug, Default)]
pub(super) struct NoProxy(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    hosts: Hosts,
    /// None stands for all.
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Hosts {
    All,
    /// The name itself and every name below it.
    Name(String),
    /// Names that end in this, which begins with a dot.
    Below(String),
    Block(IpAddr, u32),
}

impl NoProxy {
    /// Reads entries: `*`, `name`, `.suffix`, an address or a block of them, each with or without
    /// `:port`.
    ///
    /// # Errors
    /// Names the first entry that is none of these.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Self> {
        entries.into_iter().map(Rule::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Reads `NO_PROXY`. Other programs read it too, so what we cannot read is left out.
    pub fn from_environment(list: &str) -> Self {
        let entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        let read = |entry: &str| {
            let rule = Rule::parse(entry);
            rule.inspect_err(|error| tracing::warn!("left out of NO_PROXY: {error:#}")).ok()
        };
        Self(entries.filter_map(read).collect())
    }

    /// Whether the host is in the list, by its name or its literal address.
    pub fn holds(&self, host: &Host<&str>, port: u16) -> bool {
        match host {
            Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                self.any(port, |hosts| hosts.hold_name(name))
            }
            Host::Ipv4(address) => self.holds_address((*address).into(), port),
            Host::Ipv6(address) => self.holds_address((*address).into(), port),
        }
    }

    /// Whether the address is in the list, whatever name led to it.
    pub fn holds_address(&self, address: IpAddr, port: u16) -> bool {
        self.any(port, |hosts| hosts.hold_address(address.to_canonical()))
    }

    fn any(&self, port: u16, holds: impl Fn(&Hosts) -> bool) -> bool {
        self.0.iter().any(|rule| rule.port.is_none_or(|only| only == port) && holds(&rule.hosts))
    }
}

impl Rule {
    fn parse(entry: &str) -> anyhow::Result<Self> {
        let entry = entry.trim();
        let (hosts, port) = split_port(entry);
        let hosts = Hosts::parse(hosts).with_context(|| {
            format!(
                "{entry:?} is not for no-proxy; write a name, a .suffix, an address, a block like \
                 10.0.0.0/8, or *"
            )
        })?;
        Ok(Self { hosts, port })
    }
}

/// Takes the port off. An IPv6 address has colons of its own.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        Some((hosts, port)) if !hosts.contains(':') || hosts.ends_with(']') => match port.parse() {
            Ok(port) => (hosts, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

impl Hosts {
    fn parse(text: &str) -> anyhow::Result<Self> {
        if text == "*" {
            return Ok(Self::All);
        }
        if let Some((address, prefix)) = text.split_once('/') {
            let (address, prefix) = (bare(address).parse::<IpAddr>()?, prefix.parse()?);
            if prefix > bits(address) {
                bail!("a prefix of {prefix} bits is longer than the address");
            }
            return Ok(Self::Block(address, prefix));
        }
        if let Ok(address) = bare(text).parse::<IpAddr>() {
            return Ok(Self::Block(address, bits(address)));
        }
        match text.strip_prefix("*.").or_else(|| text.strip_prefix('.')) {
            Some(parent) => Ok(Self::Below(format!(".{}", name(parent)?))),
            None => name(text).map(Self::Name),
        }
    }

    fn hold_name(&self, given: &str) -> bool {
        match self {
            Self::All => true,
            Self::Name(name) => {
                let before = given.strip_suffix(name.as_str());
                before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }
            Self::Below(suffix) => given.len() > suffix.len() && given.ends_with(suffix.as_str()),
            Self::Block(..) => false,
        }
    }

    fn hold_address(&self, given: IpAddr) -> bool {
        match self {
            Self::All => true,
            Self::Name(_) | Self::Below(_) => false,
            Self::Block(network, prefix) => within(given, *network, *prefix),
        }
    }
}

fn bare(address: &str) -> &str {
    address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address)
}

/// A name in its canonical form, as the URLs that it is compared with have it.
fn name(text: &str) -> anyhow::Result<String> {
    match Host::parse(text.strip_suffix('.').unwrap_or(text))? {
        Host::Domain(name) if !name.contains('*') && !name.split('.').any(str::is_empty) => {
            Ok(name)
        }
        _ => bail!("no name"),
    }
}

fn bits(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn within(given: IpAddr, network: IpAddr, prefix: u32) -> bool {
    let differing = match (given, network) {
        (IpAddr::V4(given), IpAddr::V4(network)) => {
            u128::from(given.to_bits() ^ network.to_bits()) << 96
        }
        (IpAddr::V6(given), IpAddr::V6(network)) => given.to_bits() ^ network.to_bits(),
        _ => return false,
    };
    differing.leading_zeros() >= prefix
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn holds(list: &NoProxy, url: &str) -> bool {
        let url = Url::parse(url).expect(url);
        let port = url.port_or_known_default().expect("a port");
        list.holds(&url.host().expect("a host"), port)
    }

    #[test]
    fn an_entry_holds_what_it_says() {
        for (entry, inside, outside) in [
            ("*", &["http://a.example", "http://10.0.0.1", "http://[::1]"][..], &[][..]),
            (
                "a.example",
                &["https://a.example", "http://x.A.example:81", "https://a.example."],
                &["http://ba.example", "http://a.example.com", "http://example"],
            ),
            (".a.example", &["http://x.a.example"], &["http://a.example", "http://xa.example"]),
            ("*.a.example", &["http://x.a.example"], &["http://a.example"]),
            ("BÜCHER.example", &["http://bücher.example"], &["http://bucher.example"]),
            ("localhost", &["http://localhost:3000"], &["http://127.0.0.1"]),
            ("a.example:81", &["http://a.example:81"], &["http://a.example"]),
            ("a.example:443", &["https://a.example"], &["http://a.example"]),
            ("10.1.2.3", &["http://10.1.2.3"], &["http://10.1.2.4", "http://x10.1.2.3.example"]),
            ("10.1.2.3:81", &["http://10.1.2.3:81"], &["http://10.1.2.3"]),
            (
                "10.0.0.0/8",
                &["http://10.0.0.0", "http://10.255.255.255", "http://[::ffff:10.0.0.1]"],
                &["http://11.0.0.0", "http://9.255.255.255", "http://[::a00:1]"],
            ),
            ("0.0.0.0/0", &["http://8.8.8.8"], &["http://[::1]", "http://a.example"]),
            ("::1", &["http://[::1]"], &["http://[::2]"]),
            ("[::1]:81", &["http://[::1]:81"], &["http://[::1]"]),
            ("fd00::/8", &["http://[fd12::1]"], &["http://[fc00::1]", "http://10.0.0.1"]),
        ] {
            let list = NoProxy::parse([entry]).expect(entry);
            for url in inside {
                assert!(holds(&list, url), "{url} in {entry}");
            }
            for url in outside {
                assert!(!holds(&list, url), "{url} in {entry}");
            }
        }
        assert!(!holds(&NoProxy::default(), "http://a.example"));
    }

    #[test]
    fn an_entry_that_is_none_is_named() {
        for entry in ["", "a b", "10.0.0.0/33", "::/129", "a.example/8", "a*.example", "http://x"] {
            let error = NoProxy::parse(["fine.example", entry]).expect_err(entry).to_string();
            assert!(error.starts_with(&format!("{entry:?} is not for no-proxy; ")), "{error}");
        }
    }

    #[test]
    fn the_variable_is_read_around_what_is_wrong_in_it() {
        let list = NoProxy::from_environment("localhost, http://x ,,.internal 10.0.0.0/8");
        for url in ["http://localhost", "http://db.internal", "http://10.1.1.1"] {
            assert!(holds(&list, url), "{url}");
        }
        assert!(!holds(&list, "http://x"));
    }
}
