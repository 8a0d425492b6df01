//! What the environment and `.env` say, and the certificates of the system.

use std::path::Path;

use super::finding::Finding;
use crate::broker::NetworkSettings;
use crate::settings::{self, Environment, WorkspaceSettings};

/// Reads the environment; what cannot be read is left out and told.
pub(super) fn read(named: Option<&Path>) -> (Environment, Vec<Finding>) {
    match Environment::read(named) {
        Ok(environment) => {
            let findings = vec![keys(&environment), platform(&environment), proxy(&environment)];
            (environment, findings)
        }
        Err(error) => {
            let advice = "mend the file, or name another one with --env-file";
            let finding = Finding::problem("settings", format!("{error:#}"), advice);
            (Environment::of_process(), vec![finding])
        }
    }
}

fn keys(environment: &Environment) -> Finding {
    const WHAT: &str = "keys";
    match settings::keys(environment) {
        Ok(Some(_)) => Finding::ok(WHAT, "PRIVATE_KEY and PUBLIC_KEY are a pair"),
        Ok(None) => Finding::ok(
            WHAT,
            "none are set, which is right for the embedded workspace; the platform's needs a pair for \
             connectors with secret fields: aloma-wasm keys",
        ),
        Err(error) => Finding::problem(
            WHAT,
            format!("{error:#}"),
            "make a new pair with `aloma-wasm keys`; secrets entered before must be entered again",
        ),
    }
}

fn platform(environment: &Environment) -> Finding {
    const WHAT: &str = "workspace";
    match WorkspaceSettings::default().platform(environment) {
        Ok(Some(platform)) => {
            let host = platform.websocket_endpoint.host_str().unwrap_or_default().to_owned();
            Finding::ok(WHAT, format!("connectors join the one at {host}"))
        }
        Ok(None) => Finding::ok(WHAT, "connectors join the embedded one: no REGISTRATION_TOKEN"),
        Err(error) => {
            Finding::problem(WHAT, format!("{error:#}"), "write a URL, or leave the variable out")
        }
    }
}

/// The proxy of connectors whose settings name none.
fn proxy(environment: &Environment) -> Finding {
    const WHAT: &str = "proxy";
    let variable = |name: &str| environment.get(name).map(str::to_owned);
    match NetworkSettings::default().resolve(Path::new("."), &variable) {
        Err(error) => Finding::problem(
            WHAT,
            format!("{error:#}"),
            "mend the variable or unset it, or write `proxy` into [network] of each connector.toml",
        ),
        Ok(_) => match ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"]
            .into_iter()
            .find(|name| variable(name).is_some_and(|url| !url.is_empty()))
        {
            Some(name) => Finding::ok(WHAT, format!("{name} is set, and can be used")),
            None => Finding::ok(WHAT, "connectors reach the network without one"),
        },
    }
}

/// The root certificates that servers are checked against.
pub(super) fn roots() -> Finding {
    const WHAT: &str = "tls";
    let found = rustls_native_certs::load_native_certs();
    let unread = match found.errors.as_slice() {
        [] => String::new(),
        [first, ..] => format!("; {} could not be read, of which {first}", found.errors.len()),
    };
    match found.certs.len() {
        0 => Finding::note(
            WHAT,
            format!("the system has no root certificates; Mozilla's are used{unread}"),
            "install the package ca-certificates, or set SSL_CERT_FILE, if you need others",
        ),
        many => Finding::ok(WHAT, format!("{many} root certificates of the system{unread}")),
    }
}
