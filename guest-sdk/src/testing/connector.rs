//! A controller on the fake host, called as the real one is called.

use serde::Serialize;
use serde_json::Value;

use super::host::Host;
use crate::context::Context;
use crate::controller::{Controller, describe};
use crate::error::Result;

/// A controller on a [`Host`]. It keeps its state from call to call.
pub struct Connector<C> {
    host: Host,
    controller: C,
    context: Context,
}

impl<C: Controller> Connector<C> {
    pub(super) fn new(host: Host) -> Self {
        host.declare(&host.run_sync(describe::<C>));
        let controller = host.run_sync(C::create);
        Self { host, controller, context: Context::new("call-1") }
    }

    /// The context of the calls from now on.
    #[must_use]
    pub fn with_context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// The controller itself.
    pub fn controller(&self) -> &C {
        &self.controller
    }

    /// Calls the `#[start]` method.
    pub fn start(&self) -> Result<()> {
        self.host.run(self.controller.start())
    }

    /// Calls the `#[stop]` method.
    pub fn stop(&self, shutdown: bool) -> Result<()> {
        self.host.run(self.controller.stop(shutdown))
    }

    /// Calls an action. A name that is none goes to the `#[fallback]` method, as it does at the real
    /// host.
    ///
    /// # Panics
    /// Where the arguments cannot be written as JSON.
    pub fn call(&self, action: &str, arguments: impl Serialize) -> Result<Value> {
        let arguments = text(&arguments);
        let is_action = self.host.describe::<C>().action(action).is_some();
        let call = async {
            match is_action {
                true => self.controller.invoke(action, &arguments, &self.context).await,
                false => self.controller.fallback(action, &arguments, &self.context).await,
            }
        };
        self.host.run(call).map(|answer| value(&answer))
    }

    /// Calls the `#[health_check]` method.
    pub fn health_check(&self) -> Result<()> {
        self.host.run(self.controller.health_check())
    }

    /// Calls the `#[config_check]` method with these fields.
    ///
    /// # Panics
    /// Where they cannot be written as JSON.
    pub fn config_check(&self, fields: impl Serialize) -> Result<()> {
        self.host.run(self.controller.config_check(&text(&fields)))
    }

    /// Calls the `#[autocomplete]` method.
    ///
    /// # Panics
    /// Where the arguments cannot be written as JSON.
    pub fn autocomplete(&self, arguments: impl Serialize) -> Result<Value> {
        let arguments = text(&arguments);
        let answer = self.host.run(self.controller.autocomplete(&arguments, &self.context));
        answer.map(|answer| value(&answer))
    }

    /// Calls the `#[endpoint]` method.
    ///
    /// # Panics
    /// Where the arguments cannot be written as JSON.
    pub fn endpoint(&self, arguments: impl Serialize) -> Result<Value> {
        let arguments = text(&arguments);
        let answer = self.host.run(self.controller.endpoint(&arguments, &self.context));
        answer.map(|answer| value(&answer))
    }
}

fn text(arguments: &impl Serialize) -> String {
    serde_json::to_string(arguments).expect("arguments that can be JSON")
}

fn value(answer: &str) -> Value {
    serde_json::from_str(answer).expect("an answer that was written as JSON")
}
