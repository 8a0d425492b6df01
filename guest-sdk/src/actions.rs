//! From JSON to an action's arguments, from its result to JSON, and the schemas of both.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// What an action may take. Every type that derives `serde::Deserialize` and `schemars::JsonSchema`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the arguments of an action",
    label = "an action's arguments are read from JSON",
    note = "derive `serde::Deserialize` and `schemars::JsonSchema` for it"
)]
pub trait Arguments: DeserializeOwned + JsonSchema {}
impl<T: DeserializeOwned + JsonSchema> Arguments for T {}

/// What an action may answer. Every type that derives `serde::Serialize` and `schemars::JsonSchema`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of an action",
    label = "an action's result becomes JSON",
    note = "derive `serde::Serialize` and `schemars::JsonSchema` for it"
)]
pub trait Answer: Serialize + JsonSchema {}
impl<T: Serialize + JsonSchema> Answer for T {}

/// What an action returns: a `Result` of an [`Answer`].
#[diagnostic::on_unimplemented(
    message = "an action returns a `Result`, not `{Self}`",
    label = "not a `Result`",
    note = "write `aloma_connector::Result<{Self}>`"
)]
pub trait Outcome {
    /// What it answers.
    type Answer;
    /// The answer, or why there is none.
    fn into_result(self) -> Result<Self::Answer>;
}

impl<T, E: Into<Error>> Outcome for std::result::Result<T, E> {
    type Answer = T;
    fn into_result(self) -> Result<T> {
        self.map_err(Into::into)
    }
}

/// Reads the arguments of a call.
pub fn arguments<T: Arguments>(text: &str) -> Result<T> {
    read(text).map_err(|(path, message)| {
        let place = if path == "." { String::new() } else { format!(" `{path}`") };
        Error::invalid_arguments(format!("argument{place}: {message}"))
            .detail(json!({ "path": path }))
    })
}

/// Reads the fields of a configuration.
pub fn fields<T: DeserializeOwned>(text: &str) -> Result<T> {
    read(text).map_err(|(path, message)| {
        let place = if path == "." { String::new() } else { format!(" `{path}`") };
        Error::new("invalid-configuration", format!("configuration field{place}: {message}"))
    })
}

/// Writes the answer of a call.
pub fn answer<O>(outcome: O) -> Result<String>
where
    O: Outcome,
    O::Answer: Answer,
{
    let answer = outcome.into_result()?;
    serde_json::to_string(&answer)
        .map_err(|error| Error::new("invalid-result", format!("the result is no JSON: {error}")))
}

/// The outcome of a hook that answers nothing.
pub fn done<O: Outcome<Answer = ()>>(outcome: O) -> Result<()> {
    outcome.into_result()
}

/// Where reading failed, as a path such as `users[0].name`, and why.
fn read<T: DeserializeOwned>(text: &str) -> Result<T, (String, String)> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| (error.path().to_string(), without_place(error.inner())))
}

/// The message without ` at line 1 column 7`, which counts in a text that the caller never saw.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

/// The schema of an action's arguments.
///
/// # Panics
/// Where the type is not an object: no workspace could call such an action.
pub fn arguments_schema<T: Arguments>(action: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let mut schema = schema::<T>(settings);
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {}
        Some(other) => panic!(
            "the arguments of the action `{action}` are of type {other}; take a struct with named fields"
        ),
        None => say_object(&mut schema),
    }
    schema.to_value()
}

/// Enums and free-form JSON do not say it by themselves.
fn say_object(schema: &mut Schema) {
    schema.insert("type".into(), "object".into());
}

/// The schema of no arguments.
pub fn no_arguments_schema() -> Value {
    json!({ "type": "object", "properties": {} })
}

/// The schema of what an action returns.
pub fn result_schema<O>() -> Value
where
    O: Outcome,
    O::Answer: Answer,
{
    schema::<O::Answer>(SchemaSettings::draft2020_12().for_serialize()).to_value()
}

/// Schemas are inlined, so that whoever shows one need not look up references; a type that holds
/// itself still makes one.
fn schema<T: JsonSchema>(settings: SchemaSettings) -> Schema {
    let settings = settings.with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    SchemaGenerator::new(settings).into_root_schema_for::<T>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, JsonSchema, Debug)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Order {
        /// Who gets it.
        name: String,
        items: Vec<Item>,
    }

    #[derive(Deserialize, JsonSchema, Debug)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Item {
        count: u32,
    }

    #[test]
    fn a_wrong_argument_is_named() {
        let cases = [
            (r#"{"items":[]}"#, "argument: missing field `name`"),
            (
                r#"{"name":"a","items":[{"count":"x"}]}"#,
                "argument `items[0].count`: invalid type: string \"x\", expected u32",
            ),
            (
                r#"{"name":7,"items":[]}"#,
                "argument `name`: invalid type: integer `7`, expected a string",
            ),
        ];
        for (text, message) in cases {
            let error = arguments::<Order>(text).expect_err(text);
            assert_eq!((error.code(), error.message()), ("invalid-arguments", message));
        }
    }

    #[test]
    fn schemas_are_inlined_and_documented() {
        let schema = arguments_schema::<Order>("order");
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["properties"]["name"]["description"], "Who gets it.");
        assert_eq!(schema["properties"]["items"]["items"]["type"], "object");
        assert!(schema.get("$schema").is_none() && schema.get("$defs").is_none());
    }

    #[test]
    fn free_form_arguments_are_an_object() {
        assert_eq!(arguments_schema::<Value>("any")["type"], "object");
        assert_eq!(no_arguments_schema()["type"], "object");
    }

    #[test]
    #[should_panic(expected = "the arguments of the action `sum` are of type array")]
    fn a_list_cannot_be_the_arguments() {
        arguments_schema::<Vec<u32>>("sum");
    }

    #[test]
    fn an_answer_of_nothing_is_null() {
        assert_eq!(answer(Ok::<_, Error>(())), Ok("null".into()));
    }
}
