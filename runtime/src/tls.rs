//! TLS as a client: which certificates are believed, and the certificate that we show ourselves.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, anyhow, bail};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore};
use zeroize::Zeroizing;

/// TLS with the system's root certificates, or Mozilla's where the system has none (a minimal
/// container image). No client certificate; ALPN is left to the caller.
pub fn client_config() -> ClientConfig {
    client_config_with(roots(), None)
}

/// TLS that believes these roots, and shows that certificate to a server that asks for one. ALPN is
/// left to the caller.
pub fn client_config_with(
    roots: Arc<RootCertStore>,
    identity: Option<&ClientIdentity>,
) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider supports the protocol versions it is asked for")
        .with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.0.clone())))
        }
    }
}

/// The system's roots. Read once: a system's bundle has over a hundred certificates.
pub fn roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Arc::new(roots)
    };
    ROOTS.get_or_init(load).clone()
}

/// The system's roots, and those in a PEM file.
///
/// # Errors
/// When the file cannot be read, or holds anything but certificates that can be roots.
pub fn roots_with(file: &Path) -> anyhow::Result<Arc<RootCertStore>> {
    let mut all = RootCertStore::clone(&roots());
    for certificate in certificates(file)? {
        all.add(certificate).with_context(|| {
            format!("a certificate in {} is none that can sign others", file.display())
        })?;
    }
    Ok(Arc::new(all))
}

/// A certificate with its private key, which we show to servers that want to know their clients
/// (mTLS). The key is never printed. Two of them are equal when they show the same certificates.
#[derive(Clone)]
pub struct ClientIdentity(Arc<CertifiedKey>);

impl ClientIdentity {
    /// Reads the certificate, with the chain below its root, and its key from PEM files. They may be
    /// the same file.
    ///
    /// # Errors
    /// When a file cannot be read or lacks what it should hold, and when the two do not match.
    pub fn from_pem_files(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let chain = certificates(certificate)?;
        let private = private_key(key)?;
        let certified = CertifiedKey::from_der(chain, private, &provider());
        let certified = certified.map_err(|error| {
            let (certificate, key) = (certificate.display(), key.display());
            match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    anyhow!("the key in {key} is not the key of the certificate in {certificate}")
                }
                error => anyhow!("{certificate} and {key} make no client certificate: {error}"),
            }
        })?;
        Ok(Self(Arc::new(certified)))
    }
}

impl PartialEq for ClientIdentity {
    fn eq(&self, other: &Self) -> bool {
        // A certificate has one key.
        self.0.cert == other.0.cert
    }
}

impl Eq for ClientIdentity {}

impl Hash for ClientIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for certificate in &self.0.cert {
            certificate.as_ref().hash(state);
        }
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ClientIdentity({} certificates)", self.0.cert.len())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let shown = file.display();
    let text = std::fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| anyhow!("{shown} is no proper PEM: {error}"))?;
    if found.is_empty() {
        bail!("{shown} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
    }
    Ok(found)
}

fn private_key(file: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    let shown = file.display();
    let text = std::fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    let text = Zeroizing::new(text);
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        // Not told why: the reason could show a line of the file.
        let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
        if has(b"ENCRYPTED") {
            anyhow!(
                "the private key in {shown} is locked with a passphrase; write it without one: \
                 openssl pkey -in {shown} -out unlocked.key"
            )
        } else {
            anyhow!("{shown} holds no private key in PEM (-----BEGIN PRIVATE KEY-----)")
        }
    })
}

#[cfg(test)]
pub(crate) mod testdata {
    //! Certificates for tests, signed by `ca.pem` and good until 2126.

    use std::path::PathBuf;

    use tempfile::TempDir;

    macro_rules! files {
        ($($name:literal),*) => {
            &[$(($name, include_str!(concat!("broker/testdata/tls/", $name)))),*]
        };
    }

    const FILES: &[(&str, &str)] = files!(
        "ca.pem",
        "client-encrypted.key",
        "client.key",
        "client.pem",
        "other-ca.pem",
        "other-client.key",
        "other-client.pem",
        "server.key",
        "server.pem"
    );

    /// A folder with all of them.
    pub(crate) struct Folder(TempDir);

    impl Folder {
        pub fn new() -> Self {
            let folder = TempDir::new().expect("a folder");
            for (name, text) in FILES {
                std::fs::write(folder.path().join(name), text).expect(name);
            }
            Self(folder)
        }

        pub fn file(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// `client` or `other-client`.
        pub fn identity(&self, name: &str) -> super::ClientIdentity {
            let [certificate, key] =
                ["pem", "key"].map(|kind| self.file(&format!("{name}.{kind}")));
            super::ClientIdentity::from_pem_files(&certificate, &key).expect("an identity")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testdata::Folder;
    use super::*;

    fn refusal(certificate: &str, key: &str) -> String {
        let folder = Folder::new();
        let (certificate, key) = (folder.file(certificate), folder.file(key));
        let error = ClientIdentity::from_pem_files(&certificate, &key).expect_err("no identity");
        format!("{error:#}").replace(&folder.file("").display().to_string(), "")
    }

    #[test]
    fn a_client_certificate_that_cannot_be_used_is_explained() {
        for (certificate, key, text) in [
            ("none.pem", "client.key", "cannot read none.pem: No such file"),
            ("client.pem", "none.key", "cannot read none.key: No such file"),
            ("client.key", "client.key", "client.key holds no certificate in PEM"),
            ("client.pem", "client.pem", "client.pem holds no private key in PEM"),
            (
                "client.pem",
                "client-encrypted.key",
                "the private key in client-encrypted.key is locked with a passphrase; write it \
                 without one: openssl pkey -in client-encrypted.key -out unlocked.key",
            ),
            (
                "client.pem",
                "other-client.key",
                "the key in other-client.key is not the key of the certificate in client.pem",
            ),
        ] {
            let told = refusal(certificate, key);
            assert!(told.starts_with(text), "{told}");
        }
    }

    #[test]
    fn an_identity_is_its_certificate_and_never_shows_its_key() {
        let folder = Folder::new();
        assert_eq!(folder.identity("client"), folder.identity("client"));
        assert_ne!(folder.identity("client"), folder.identity("other-client"));
        assert_eq!(format!("{:?}", folder.identity("client")), "ClientIdentity(1 certificates)");
    }

    #[test]
    fn roots_of_a_file_stand_beside_those_of_the_system() {
        let folder = Folder::new();
        let both = roots_with(&folder.file("ca.pem")).expect("a root");
        assert_eq!(both.len(), roots().len() + 1);
        let told = roots_with(&folder.file("server.key")).expect_err("no root").to_string();
        assert!(told.contains("server.key holds no certificate in PEM"), "{told}");
    }
}
