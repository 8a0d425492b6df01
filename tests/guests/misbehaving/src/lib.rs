//! What the guests that misbehave share: each has an action `misbehave`, and `behave` to see whether
//! the connector still works.

use aloma_connector::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

pub mod outgoing;

/// What `behave` answers.
pub const WELL: &str = "well";

/// Where to ask.
#[derive(Deserialize, JsonSchema)]
pub struct Place {
    /// An http URL.
    pub url: String,
}

impl Place {
    /// Host and port, and the path, as `wasi:http` wants them.
    ///
    /// # Errors
    /// When it is no http URL.
    pub fn parts(&self) -> Result<(&str, &str)> {
        let rest = self.url.strip_prefix("http://");
        let slash = rest.and_then(|rest| Some((rest, rest.find('/')?)));
        let (rest, at) = slash.ok_or_else(|| Error::invalid_arguments("this is no http URL"))?;
        Ok(rest.split_at(at))
    }
}

/// Makes a component whose `misbehave` answers this text as it is, which no SDK would.
#[macro_export]
macro_rules! answers {
    ($text:expr) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use aloma_connector::bindings;
            use bindings::aloma::connector::types::{Context, Failure};
            use bindings::exports::aloma::connector::{actions, lifecycle};

            struct Raw;

            fn action(name: &str) -> actions::Action {
                actions::Action {
                    name: name.into(),
                    description: String::new(),
                    arguments_schema: String::new(),
                    result_schema: None,
                    hints: actions::Hints::empty(),
                }
            }

            impl actions::Guest for Raw {
                fn describe() -> actions::Manifest {
                    actions::Manifest {
                        id: None,
                        name: env!("CARGO_PKG_NAME").into(),
                        version: env!("CARGO_PKG_VERSION").into(),
                        summary: None,
                        description: None,
                        icon: None,
                        fields: Vec::new(),
                        oauth: None,
                        endpoint: None,
                        asks: Vec::new(),
                        credentials: Vec::new(),
                        actions: ["behave", "misbehave"].map(action).into(),
                    }
                }

                fn invoke(name: String, _: String, _: Context) -> Result<String, Failure> {
                    Ok(if name == "behave" { format!("{:?}", $crate::WELL) } else { $text })
                }
            }

            impl lifecycle::Guest for Raw {
                fn start() -> Result<(), Failure> {
                    Ok(())
                }

                fn stop(_: bool) -> Result<(), Failure> {
                    Ok(())
                }

                fn health_check() -> Result<(), Failure> {
                    Ok(())
                }

                fn config_check(_: String) -> Result<(), Failure> {
                    Ok(())
                }

                fn autocomplete(_: String, _: Context) -> Result<String, Failure> {
                    Ok(String::new())
                }

                fn endpoint(_: String, _: Context) -> Result<String, Failure> {
                    Ok(String::new())
                }

                fn fallback(_: String, _: String, _: Context) -> Result<String, Failure> {
                    Ok(String::new())
                }
            }

    bindings::export_component!(Raw with_types_in bindings);
        };
    };
}
