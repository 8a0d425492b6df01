//! What an operator writes about the network: `[network]` of `connector.toml`, and the environment.

use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

use super::{Network, NoProxy, Proxies};
use crate::broker::proxy::Proxy;
use crate::tls;

/// `[network]` of `connector.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NetworkSettings {
    /// The URL of a proxy, `http://[user:password@]host:port`. An empty one stands for no proxy,
    /// also where the environment names one.
    // Parsed later: TOML's errors show the line they are about, and here is a password.
    #[serde(default, deserialize_with = "secret")]
    pub proxy: Option<SecretString>,
    /// Targets that are reached without it: names (with those below them), `.suffix`, addresses,
    /// blocks of addresses, `*` for all.
    pub no_proxy: Option<Vec<String>>,
    /// Leaves names to the proxy. The guard then knows no address of theirs, and what a name leads to
    /// is for the proxy's own policy to judge. For proxies that allow names and no addresses.
    #[serde(default)]
    pub proxy_resolves: bool,
    /// Root certificates in PEM, believed beside the system's.
    pub ca_file: Option<PathBuf>,
}

impl NetworkSettings {
    /// Reads what the settings name, files from the folder `base`. Where they say nothing of a proxy,
    /// the environment does, as for other programs: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in
    /// capitals or not.
    ///
    /// # Errors
    /// When a proxy's URL, an entry or a file cannot be used. Never shows a password.
    pub fn resolve(
        &self,
        base: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Network> {
        let roots = match &self.ca_file {
            Some(file) => tls::roots_with(&base.join(file)).context("ca-file of [network]")?,
            None => tls::roots(),
        };
        Ok(Network::new(self.proxies(environment)?, roots))
    }

    fn proxies(&self, environment: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Proxies> {
        let mut proxies = match &self.proxy {
            Some(url) => one_proxy(url)?,
            None => of_environment(environment)?,
        };
        if let Some(entries) = &self.no_proxy {
            let entries = entries.iter().map(String::as_str);
            proxies.except = NoProxy::parse(entries).context("no-proxy of [network]")?;
        }
        proxies.resolve = self.proxy_resolves;
        Ok(proxies)
    }
}

fn secret<'de, D: Deserializer<'de>>(input: D) -> Result<Option<SecretString>, D::Error> {
    String::deserialize(input).map(|text| Some(text.into()))
}

/// The same proxy for everything.
fn one_proxy(url: &SecretString) -> anyhow::Result<Proxies> {
    if url.expose_secret().is_empty() {
        return Ok(Proxies::default());
    }
    let proxy = Proxy::parse(url.expose_secret()).context("proxy of [network]")?;
    Ok(Proxies { http: Some(proxy.clone()), https: Some(proxy), ..Proxies::default() })
}

fn of_environment(environment: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Proxies> {
    let read = |name: &str| environment(name).filter(|value| !value.is_empty());
    let either = |name: &str| read(&name.to_lowercase()).or_else(|| read(name));
    // Behind a web server's CGI, HTTP_PROXY is what the caller wrote into its header `Proxy`.
    let http = match read("REQUEST_METHOD") {
        Some(_) => read("http_proxy"),
        None => either("HTTP_PROXY"),
    };
    let proxies = Proxies {
        http: http.map(|url| Proxy::parse(&url).context("HTTP_PROXY")).transpose()?,
        https: either("HTTPS_PROXY")
            .map(|url| Proxy::parse(&url).context("HTTPS_PROXY"))
            .transpose()?,
        except: either("NO_PROXY").as_deref().map(NoProxy::from_environment).unwrap_or_default(),
        resolve: false,
    };
    tell_once(&proxies);
    Ok(proxies)
}

/// A proxy that nobody named to us in particular should not come as a surprise.
fn tell_once(proxies: &Proxies) {
    static TOLD: Once = Once::new();
    let shown = |proxy: &Option<Proxy>| proxy.as_ref().map_or("none".into(), Proxy::to_string);
    if proxies.http.is_some() || proxies.https.is_some() {
        TOLD.call_once(|| {
            tracing::info!(
                http = shown(&proxies.http),
                https = shown(&proxies.https),
                "connectors use the proxy of the environment; proxy = \"\" in [network] of \
                 connector.toml turns it off"
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::tls::testdata::Folder;

    fn resolve(toml: &str, environment: &[(&str, &str)]) -> anyhow::Result<Network> {
        let settings: NetworkSettings = toml::from_str(toml)?;
        let read = |name: &str| {
            let found = environment.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        settings.resolve(Path::new("/none"), &read)
    }

    fn proxy(network: &Network, url: &str) -> Option<String> {
        network.proxy(&Url::parse(url).expect(url)).map(ToString::to_string)
    }

    const ENVIRONMENT: &[(&str, &str)] = &[
        ("HTTPS_PROXY", "http://secure.example:1"),
        ("HTTP_PROXY", "plain.example:2"),
        ("NO_PROXY", "no.example"),
    ];

    #[test]
    fn the_environment_names_the_proxy_where_the_file_does_not() {
        let network = resolve("", ENVIRONMENT).expect("settings");
        for (url, expected) in [
            ("https://a.example", Some("secure.example:1")),
            ("http://a.example", Some("plain.example:2")),
            ("https://x.no.example", None),
            ("http://no.example:81", None),
            ("http://localhost:3000", None),
            ("http://x.localhost", None),
            ("https://127.0.0.1", None),
            ("http://[::1]:81", None),
            ("http://[::ffff:127.0.0.1]", None),
            ("http://0.0.0.0:81", None),
            ("http://10.0.0.1", Some("plain.example:2")),
        ] {
            assert_eq!(proxy(&network, url).as_deref(), expected, "{url}");
        }
        assert!(!network.proxy_resolves());
    }

    #[test]
    fn the_file_wins_over_the_environment() {
        for (toml, at_no, at_other) in [
            ("proxy = 'http://file.example:3'", Some("file.example:3"), Some("file.example:3")),
            ("proxy = ''", None, None),
            ("no-proxy = ['b.example']", Some("secure.example:1"), Some("secure.example:1")),
            ("no-proxy = ['*']", None, None),
            ("proxy-resolves = true", None, Some("secure.example:1")),
        ] {
            let network = resolve(toml, ENVIRONMENT).expect(toml);
            assert_eq!(proxy(&network, "https://no.example").as_deref(), at_no, "{toml}");
            assert_eq!(proxy(&network, "https://a.example").as_deref(), at_other, "{toml}");
        }
        assert!(resolve("proxy-resolves = true", &[]).expect("settings").proxy_resolves());
    }

    #[test]
    fn a_variable_counts_in_either_case_but_not_what_a_caller_could_have_set() {
        for (environment, expected) in [
            (&[("http_proxy", "http://a.example:1")][..], Some("a.example:1")),
            (&[("HTTP_PROXY", "http://a.example:1")], Some("a.example:1")),
            (&[("HTTP_PROXY", ""), ("http_proxy", "")], None),
            (&[("HTTP_PROXY", "http://a.example:1"), ("REQUEST_METHOD", "GET")], None),
            (
                &[("http_proxy", "http://a.example:1"), ("REQUEST_METHOD", "GET")],
                Some("a.example:1"),
            ),
            (&[("HTTPS_PROXY", "http://a.example:1")], None),
            (&[], None),
        ] {
            let network = resolve("", environment).expect("settings");
            assert_eq!(proxy(&network, "http://b.example").as_deref(), expected, "{environment:?}");
        }
    }

    #[test]
    fn settings_that_cannot_be_used_are_explained_without_the_password() {
        for (toml, text) in [
            ("proxy = 'http://u:hush@'", "proxy of [network]: it is no URL"),
            ("no-proxy = ['a b']", "no-proxy of [network]: \"a b\" is not for no-proxy"),
            ("ca-file = 'ca.pem'", "ca-file of [network]: cannot read /none/ca.pem: No such file"),
            ("proxi = ''", "unknown field `proxi`"),
            ("no-proxy = ''", "invalid type"),
        ] {
            let error = resolve(toml, &[]).map(|_| ()).expect_err(toml);
            let told = format!("{error:#}");
            assert!(told.contains(text) && !told.contains("hush"), "{told}");
        }
        let told =
            format!("{:#}", resolve("", &[("https_proxy", "socks5://u:hush@x")]).expect_err("x"));
        assert!(told.starts_with("HTTPS_PROXY: ") && !told.contains("hush"), "{told}");
        let settings: NetworkSettings = toml::from_str("proxy = 'http://u:hush@x'").expect("toml");
        let network = settings.resolve(Path::new(""), &|_| None).expect("a proxy");
        let shown = format!("{settings:?} {network:?}");
        assert!(!shown.contains("hush"), "{shown}");
    }

    #[test]
    fn a_ca_file_is_found_beside_the_settings() {
        let folder = Folder::new();
        let resolve = |name: &str| {
            let ca_file = Some(name.into());
            let settings = NetworkSettings { ca_file, ..NetworkSettings::default() };
            settings.resolve(&folder.file(""), &|_| None)
        };
        let network = resolve("ca.pem").expect("a root");
        assert_eq!(network.roots.len(), tls::roots().len() + 1);
        let told = format!("{:#}", resolve("client.key").expect_err("no root"));
        assert!(told.contains("client.key holds no certificate in PEM"), "{told}");
    }
}
