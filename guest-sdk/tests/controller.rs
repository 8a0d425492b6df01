//! A controller with everything in it, called as the host calls it.

use std::cell::RefCell;

use aloma_connector::logging::Level;
use aloma_connector::manifest::CredentialKind;
use aloma_connector::testing::{Host, Reply};
use aloma_connector::{
    ClientCredentials, Context, Credential, EndpointMode, Error, Field, OAuth, Result, Setup, bail,
    config, connector, error, http, info,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

struct Everything {
    heard: RefCell<Vec<String>>,
}

#[derive(Deserialize, JsonSchema)]
struct Contact {
    /// Where mail goes.
    email: String,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct Created {
    id: u32,
}

/// All that a controller can have
///
/// In several lines.
#[connector]
impl Everything {
    pub fn new() -> Self {
        Self { heard: RefCell::new(vec!["new".into()]) }
    }

    #[setup]
    fn setup() -> Setup {
        let oauth = OAuth::new("https://a.example/auth?{{clientId}}", "https://a.example/token")
            .scope("read")
            .configurable_client_optional()
            .token_arg("audience", "x");
        let client = ClientCredentials::new("https://a.example/token", "TEXT", "KEY").scope("all");
        Setup::new()
            .id("1234")
            .name("everything")
            .version("9.9.9")
            .icon(b"png")
            .field(Field::line("KEY").name("Key").description("A key.").placeholder("k-1"))
            .field(Field::multiline("TEXT").height(4).plain().optional())
            .field(Field::number("COUNT").plain())
            .field(Field::boolean("ON").plain())
            .oauth(oauth)
            .endpoint(EndpointMode::Required)
            .asks("https://a.example", "to do everything")
            .credential("key", Credential::bearer("KEY").origin("{{TEXT}}").reason("to get in"))
            .credential("client", Credential::client(client).origin("https://a.example"))
    }

    /// Creates a contact
    #[action(name = "crm.contacts.create", idempotent, destructive)]
    pub async fn create(&self, contact: Contact, context: Context) -> Result<Created> {
        info!("{} in {:?}", contact.email, context.task_id);
        self.hear(format!("create {}", contact.tags.len()));
        Ok(Created { id: 7 })
    }

    pub fn what_was_heard(&self) -> Result<Vec<String>, Error> {
        Ok(self.heard.borrow().clone())
    }

    pub async fn settings(&self) -> Result<Value> {
        Ok(json!([config::number("COUNT")?, config::boolean("ON")?, config::get("SECRET")]))
    }

    pub async fn knock(&self, arguments: Value) -> Result<u16> {
        let request = http::get("https://a.example");
        let credential = arguments["credential"].as_str().unwrap_or_default();
        Ok(request.credential(credential).send().await?.status())
    }

    pub async fn fail(&self, _anything: Value, context: &Context) -> Result<()> {
        error!("failing in {}", context.call_id);
        bail!("not-today" => "not today")
    }

    #[start]
    async fn begin(&self) -> Result<()> {
        self.hear("start");
        Ok(())
    }

    #[stop]
    fn end(&self, shutdown: bool) -> Result<()> {
        self.hear(format!("stop {shutdown}"));
        Ok(())
    }

    #[health_check]
    async fn well(&self) -> Result<()> {
        Err(Error::msg("unwell"))
    }

    #[config_check]
    async fn check(&self, fields: Value) -> Result<()> {
        if fields["COUNT"].is_null() { bail!("no count") } else { Ok(()) }
    }

    #[autocomplete]
    async fn suggest(&self, arguments: Value) -> Result<Vec<Value>> {
        Ok(vec![arguments])
    }

    #[endpoint]
    async fn receive(&self, arguments: Value, context: Context) -> Result<Value> {
        Ok(json!([arguments, context.namespace, context.sticky]))
    }

    #[fallback]
    async fn other(&self, name: &str, arguments: Value) -> Result<Value> {
        Ok(json!({ "name": name, "arguments": arguments }))
    }

    fn hear(&self, what: impl Into<String>) {
        self.heard.borrow_mut().push(what.into());
    }
}

/// A controller with nothing in it.
#[derive(Default)]
struct Nothing;

#[connector]
impl Nothing {
    pub async fn first(&self) -> Result<()> {
        Ok(())
    }

    pub async fn second_one(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_controller_keeps_its_state_from_call_to_call() {
    let connector = Host::new().connector::<Everything>();
    connector.start().expect("a start");
    let contact = json!({"email": "a@example.com", "tags": ["x", "y"]});
    let created = connector.call("crm.contacts.create", contact);
    assert_eq!(created, Ok(json!({"id": 7})));
    connector.stop(true).expect("a stop");
    let heard = connector.call("whatWasHeard", json!({}));
    assert_eq!(heard, Ok(json!(["new", "start", "create 2", "stop true"])));
}

#[test]
fn the_context_arrives_and_lines_are_logged() {
    let host = Host::new();
    let context = Context::new("c-1").with_task("t-1").with_namespace("n").with_sticky("s");
    let connector = host.connector::<Everything>().with_context(context);
    connector.call("crm.contacts.create", json!({"email": "a@b"})).expect("a contact");
    connector.call("fail", json!({})).expect_err("a failure");
    let logs = host.logs();
    let logs: Vec<_> = logs.iter().map(|line| (line.level, &*line.message)).collect();
    assert_eq!(logs, [(Level::Info, "a@b in Some(\"t-1\")"), (Level::Error, "failing in c-1")]);
    assert_eq!(connector.endpoint(json!(1)), Ok(json!([1, "n", "s"])));
}

#[test]
fn hooks_are_called() {
    let connector = Host::new().connector::<Everything>();
    assert_eq!(connector.health_check().expect_err("unwell").message(), "unwell");
    assert_eq!(connector.config_check(json!({"COUNT": 1})), Ok(()));
    assert_eq!(connector.config_check(json!({})).expect_err("no count").message(), "no count");
    assert_eq!(connector.autocomplete(json!({"a": 1})), Ok(json!([{"a": 1}])));
    let other = json!({"name": "x.y", "arguments": {"a": 1}});
    assert_eq!(connector.call("x.y", json!({"a": 1})), Ok(other));
}

#[test]
fn hooks_have_defaults() {
    let connector = Host::new().connector::<Nothing>();
    assert_eq!((connector.start(), connector.stop(false)), (Ok(()), Ok(())));
    assert_eq!((connector.health_check(), connector.config_check(json!({}))), (Ok(()), Ok(())));
    let codes = [
        connector.autocomplete(json!({})).expect_err("none"),
        connector.endpoint(json!({})).expect_err("none"),
        connector.call("third", json!({})).expect_err("none"),
    ];
    assert_eq!(
        codes.each_ref().map(Error::code),
        ["no-autocomplete", "no-endpoint", "unknown-action"]
    );
    assert_eq!(codes[2].message(), "no action `third`; this connector has: first, secondOne");
}

#[test]
fn only_declared_configuration_is_read() {
    let host = Host::new().config("COUNT", 2.5).config("ON", true).config("SECRET", "s");
    assert_eq!(host.call::<Everything>("settings", json!({})), Ok(json!([2.5, true, null])));
    assert!(host.logs()[0].message.contains("`SECRET` is read, but no field"));
    let host = Host::new().config("COUNT", "many");
    let error = host.call::<Everything>("settings", json!({})).expect_err("no number");
    assert_eq!(error.message(), "the configuration field `COUNT` is not a number");
}

#[test]
fn a_request_names_a_credential_that_is_declared_and_set() {
    let host = || Host::new().http(|_| Reply::status(204));
    let knock = |host: &Host, name| host.call::<Everything>("knock", json!({ "credential": name }));
    let set = host().config("KEY", "k").credential("theirs");
    for name in ["key", "theirs", "oauth"] {
        assert_eq!(knock(&set, name), Ok(json!(204)));
    }
    let named: Vec<_> = set.requests().iter().map(|r| r.credential().map(str::to_owned)).collect();
    assert_eq!(named, ["key", "theirs", "oauth"].map(|name| Some(name.to_owned())));
    for (host, name, says) in [
        (host(), "key", "the credential \"key\" needs the field KEY, which is not set"),
        (set, "client", "the credential \"client\" needs the field TEXT"),
        (host(), "kye", "no credential \"kye\"; there are: \"client\", \"key\", \"oauth\""),
    ] {
        let error = knock(&host, name).expect_err(says);
        assert_eq!(error.code(), "http-credential");
        assert!(error.message().contains(says), "{error}");
    }
}

#[test]
fn everything_is_described() {
    let manifest = Host::new().describe::<Everything>();
    assert_eq!(
        (manifest.id.as_deref(), &*manifest.name, &*manifest.version),
        (Some("1234"), "everything", "9.9.9")
    );
    assert_eq!(manifest.summary.as_deref(), Some("All that a controller can have"));
    assert_eq!(
        manifest.description.as_deref(),
        Some("All that a controller can have\n\nIn several lines.")
    );
    assert_eq!(manifest.icon.as_deref(), Some(&b"png"[..]));
    assert_eq!(manifest.endpoint, Some(EndpointMode::Required));
    assert_eq!(manifest.asks[0].reason.as_deref(), Some("to do everything"));
    let key = manifest.credential("key").expect("a credential");
    assert_eq!(
        (&key.origins[..], key.reason.as_deref()),
        (&["{{TEXT}}".to_owned()][..], Some("to get in"))
    );
    let CredentialKind::ClientCredentials(client) = &manifest.credentials[1].kind else {
        panic!("another kind: {manifest:?}")
    };
    assert_eq!((client.scope.as_deref(), client.in_body), (Some("all"), false));
    let keys: Vec<_> = manifest.fields.iter().map(|field| (&*field.key, field.plain)).collect();
    assert_eq!(keys, [("KEY", false), ("TEXT", true), ("COUNT", true), ("ON", true)]);
    let oauth = manifest.oauth.as_ref().expect("a grant");
    assert!(oauth.configurable_client && oauth.configurable_client_optional);

    let create = manifest.action("crm.contacts.create").expect("the action");
    assert_eq!(create.description, "Creates a contact");
    assert!(create.hints.idempotent && create.hints.destructive && !create.hints.read_only);
    assert_eq!(create.arguments["properties"]["email"]["description"], "Where mail goes.");
    assert_eq!(create.arguments["required"], json!(["email"]));
    assert_eq!(create.result.as_ref().expect("a schema")["properties"]["id"]["type"], "integer");
}

#[test]
fn what_is_left_out_comes_from_the_package() {
    let manifest = Host::new().describe::<Nothing>();
    assert_eq!(manifest.name, env!("CARGO_PKG_NAME"));
    assert_eq!(manifest.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest.summary.as_deref(), Some(env!("CARGO_PKG_DESCRIPTION")));
    assert_eq!((manifest.id, manifest.description), (None, None));
}
