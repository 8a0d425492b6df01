//! What `#[connector]` makes of a struct: the calls that the host makes.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::manifest::{Action, Manifest};
use crate::setup::Setup;

/// A connector's controller. Implemented by [`connector`](macro@crate::connector), not by hand.
#[allow(async_fn_in_trait, reason = "a controller runs on one thread, so no future needs `Send`")]
pub trait Controller: Sized + 'static {
    /// The author's package.
    fn package() -> Package;

    /// Identity, configuration form and wishes.
    fn setup() -> Setup {
        Setup::new()
    }

    /// A new controller.
    fn create() -> Self;

    /// The action table.
    fn actions() -> Vec<Action>;

    /// Runs one action on JSON text.
    async fn invoke(&self, name: &str, arguments: &str, context: &Context) -> Result<String>;

    /// Before the first call.
    async fn start(&self) -> Result<()> {
        Ok(())
    }

    /// Before the controller goes.
    async fn stop(&self, shutdown: bool) -> Result<()> {
        let _ = shutdown;
        Ok(())
    }

    /// Whether the connector works.
    async fn health_check(&self) -> Result<()> {
        Ok(())
    }

    /// Whether the configuration is right. The fields are JSON text.
    async fn config_check(&self, fields: &str) -> Result<()> {
        let _ = fields;
        Ok(())
    }

    /// Suggests values for a field.
    async fn autocomplete(&self, arguments: &str, context: &Context) -> Result<String> {
        let _ = (arguments, context);
        Err(Error::new("no-autocomplete", "this connector has no suggestions"))
    }

    /// Takes what was sent to the endpoint.
    async fn endpoint(&self, arguments: &str, context: &Context) -> Result<String> {
        let _ = (arguments, context);
        Err(Error::new("no-endpoint", "this connector has no endpoint"))
    }

    /// Called for a name that is no action.
    async fn fallback(&self, name: &str, arguments: &str, context: &Context) -> Result<String> {
        let _ = (arguments, context);
        Err(unknown_action::<Self>(name))
    }
}

/// The author's package, as cargo tells it.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// `CARGO_PKG_NAME`.
    pub name: &'static str,
    /// `CARGO_PKG_VERSION`.
    pub version: &'static str,
    /// `CARGO_PKG_DESCRIPTION`, empty where there is none.
    pub description: &'static str,
    /// The doc comment of the `#[connector]` block.
    pub docs: &'static str,
}

/// Describes a connector.
pub fn describe<C: Controller>() -> Manifest {
    C::setup().into_manifest(&C::package(), C::actions())
}

/// The failure of a call that nothing answers.
pub fn unknown_action<C: Controller>(name: &str) -> Error {
    let names: Vec<String> = C::actions().into_iter().map(|action| action.name).collect();
    let has = if names.is_empty() { "no actions".to_owned() } else { names.join(", ") };
    Error::new("unknown-action", format!("no action `{name}`; this connector has: {has}"))
}

/// What the attribute's code calls.
#[doc(hidden)]
pub mod private {
    pub use super::{Package, unknown_action};
    pub use crate::actions::{
        answer, arguments, arguments_schema, done, fields, no_arguments_schema, result_schema,
    };
}
