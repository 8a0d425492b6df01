//! The exports of `wit/`, for one controller.

use std::any::Any;
use std::cell::OnceCell;
use std::marker::PhantomData;

use crate::bindings::aloma::connector::types;
use crate::bindings::exports::aloma::connector::{actions, lifecycle};
use crate::context::Context;
use crate::controller::{Controller, describe};
use crate::error::{Error, Result};
use crate::executor::block_on;
use crate::manifest::{
    Action, Ask, ClientCredentials, Credential, CredentialKind, EndpointMode, Field, FieldKind,
    Hints, Manifest, OAuth,
};
use crate::panics;

/// The component of a controller.
pub struct Component<C>(PhantomData<C>);

thread_local! {
    /// The one controller of this instance. Its type is not known here, since a static has none of
    /// the parameters around it.
    static CONTROLLER: OnceCell<&'static dyn Any> = const { OnceCell::new() };
}

/// The controller, made when it is first needed.
fn controller<C: Controller>() -> &'static C {
    panics::report();
    let make = || -> &'static dyn Any { Box::leak(Box::new(C::create())) };
    let controller = CONTROLLER.with(|cell| *cell.get_or_init(make));
    controller.downcast_ref().expect("a component has one controller")
}

impl<C: Controller> actions::Guest for Component<C> {
    fn describe() -> actions::Manifest {
        panics::report();
        wit_manifest(describe::<C>())
    }

    fn invoke(
        name: String,
        arguments: String,
        context: types::Context,
    ) -> Result<String, types::Failure> {
        let context = from_wit(context);
        block_on(controller::<C>().invoke(&name, &arguments, &context)).map_err(failure)
    }
}

impl<C: Controller> lifecycle::Guest for Component<C> {
    fn start() -> Result<(), types::Failure> {
        block_on(controller::<C>().start()).map_err(failure)
    }

    fn stop(shutdown: bool) -> Result<(), types::Failure> {
        block_on(controller::<C>().stop(shutdown)).map_err(failure)
    }

    fn health_check() -> Result<(), types::Failure> {
        block_on(controller::<C>().health_check()).map_err(failure)
    }

    fn config_check(fields: String) -> Result<(), types::Failure> {
        block_on(controller::<C>().config_check(&fields)).map_err(failure)
    }

    fn autocomplete(arguments: String, context: types::Context) -> Result<String, types::Failure> {
        let context = from_wit(context);
        block_on(controller::<C>().autocomplete(&arguments, &context)).map_err(failure)
    }

    fn endpoint(arguments: String, context: types::Context) -> Result<String, types::Failure> {
        let context = from_wit(context);
        block_on(controller::<C>().endpoint(&arguments, &context)).map_err(failure)
    }

    fn fallback(
        name: String,
        arguments: String,
        context: types::Context,
    ) -> Result<String, types::Failure> {
        let context = from_wit(context);
        block_on(controller::<C>().fallback(&name, &arguments, &context)).map_err(failure)
    }
}

fn from_wit(context: types::Context) -> Context {
    let types::Context { call_id, task_id, namespace, sticky } = context;
    Context { call_id, task_id, namespace, sticky }
}

fn failure(error: Error) -> types::Failure {
    types::Failure {
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        retryable: error.is_retryable(),
        detail: error.details().map(ToString::to_string),
    }
}

fn wit_manifest(manifest: Manifest) -> actions::Manifest {
    actions::Manifest {
        id: manifest.id,
        name: manifest.name,
        version: manifest.version,
        summary: manifest.summary,
        description: manifest.description,
        icon: manifest.icon,
        fields: manifest.fields.into_iter().map(wit_field).collect(),
        oauth: manifest.oauth.map(wit_oauth),
        endpoint: manifest.endpoint.map(wit_endpoint),
        asks: manifest.asks.into_iter().map(wit_ask).collect(),
        credentials: manifest.credentials.into_iter().map(wit_credential).collect(),
        actions: manifest.actions.into_iter().map(wit_action).collect(),
    }
}

fn wit_field(field: Field) -> actions::Field {
    actions::Field {
        key: field.key,
        name: field.name,
        kind: match field.kind {
            FieldKind::Line => actions::FieldKind::Line,
            FieldKind::Multiline => actions::FieldKind::Multiline,
            FieldKind::Number => actions::FieldKind::Number,
            FieldKind::Boolean => actions::FieldKind::Boolean,
        },
        description: field.description,
        placeholder: field.placeholder,
        height: field.height,
        optional: field.optional,
        plain: field.plain,
    }
}

fn wit_oauth(oauth: OAuth) -> actions::Oauth {
    actions::Oauth {
        authorization_url: oauth.authorization_url,
        token_url: oauth.token_url,
        client_id: oauth.client_id,
        client_secret: oauth.client_secret,
        scope: oauth.scope,
        use_auth_header: oauth.use_auth_header,
        use_code_challenge: oauth.use_code_challenge,
        configurable_client: oauth.configurable_client,
        configurable_client_optional: oauth.configurable_client_optional,
        configurable_client_scope: oauth.configurable_client_scope,
        connection_optional: oauth.connection_optional,
        additional_token_args: oauth.additional_token_args,
    }
}

fn wit_endpoint(mode: EndpointMode) -> actions::EndpointMode {
    match mode {
        EndpointMode::Enabled => actions::EndpointMode::Enabled,
        EndpointMode::Required => actions::EndpointMode::Required,
    }
}

fn wit_ask(ask: Ask) -> actions::Ask {
    actions::Ask { origin: ask.origin, reason: ask.reason }
}

fn wit_credential(credential: Credential) -> actions::Credential {
    let Credential { name, kind, origins, reason } = credential;
    actions::Credential { name, kind: wit_kind(kind), origins, reason }
}

fn wit_kind(kind: CredentialKind) -> actions::CredentialKind {
    match kind {
        CredentialKind::Bearer { token } => actions::CredentialKind::Bearer(token),
        CredentialKind::Basic { username, password } => {
            actions::CredentialKind::Basic(actions::BasicCredential { username, password })
        }
        CredentialKind::Header { name, value } => {
            actions::CredentialKind::Header(actions::NamedCredential { name, value })
        }
        CredentialKind::Query { name, value } => {
            actions::CredentialKind::Query(actions::NamedCredential { name, value })
        }
        CredentialKind::ClientCredentials(client) => {
            actions::CredentialKind::ClientCredentials(wit_client(client))
        }
    }
}

fn wit_client(client: ClientCredentials) -> actions::ClientCredentials {
    actions::ClientCredentials {
        token_url: client.token_url,
        client_id: client.client_id,
        client_secret: client.client_secret,
        scope: client.scope,
        audience: client.audience,
        auth: match client.in_body {
            true => actions::ClientAuth::Body,
            false => actions::ClientAuth::Header,
        },
    }
}

fn wit_action(action: Action) -> actions::Action {
    actions::Action {
        name: action.name,
        description: action.description,
        arguments_schema: action.arguments.to_string(),
        result_schema: action.result.map(|schema| schema.to_string()),
        hints: wit_hints(action.hints),
    }
}

fn wit_hints(hints: Hints) -> actions::Hints {
    let mut flags = actions::Hints::empty();
    flags.set(actions::Hints::READ_ONLY, hints.read_only);
    flags.set(actions::Hints::DESTRUCTIVE, hints.destructive);
    flags.set(actions::Hints::IDEMPOTENT, hints.idempotent);
    flags
}

/// Exports a controller as the component. `#[connector]` calls it.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_connector {
    ($controller:ty) => {
        const _: () = {
            type Exported = $crate::component::Component<$controller>;
    $crate::bindings::export_component!(Exported with_types_in $crate::bindings);
        };
    };
}
