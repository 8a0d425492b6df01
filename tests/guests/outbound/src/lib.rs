//! A connector that does with `wasi:http` what any code may do, right and wrong, and tells what it
//! saw. Codes are told in the spelling of the bindings, so that a test can ask for the exact one.

mod answer;
mod fields;
mod handles;
mod request;
mod stream;

use aloma_connector::{Field, Result, Setup, connector};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use request::Sending;

/// The controller.
#[derive(Default)]
pub struct Outbound;

/// A server, by host and port.
#[derive(Deserialize, JsonSchema)]
pub struct Server {
    authority: String,
}

/// Several pages of a server.
#[derive(Deserialize, JsonSchema)]
pub struct Pages {
    authority: String,
    paths: Vec<String>,
    /// Asked for as soon as the first answer is there.
    then: String,
}

/// Header fields to make.
#[derive(Deserialize, JsonSchema)]
pub struct Many {
    count: usize,
    /// Bytes of each value.
    size: usize,
}

/// Bytes to move.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transfer {
    authority: String,
    path: String,
    bytes: u64,
    /// Whether the length is told beforehand.
    #[serde(default)]
    declared: bool,
}

/// A name for what to drop when.
#[derive(Deserialize, JsonSchema)]
pub struct Order {
    authority: String,
    order: String,
}

/// Tries `wasi:http`.
#[connector]
impl Outbound {
    #[setup]
    fn setup() -> Setup {
        Setup::new().field(Field::line("TOKEN").name("a secret to look for").optional())
    }

    /// sends a request
    pub async fn send(&self, sending: Sending) -> Result<Value> {
        Ok(request::send(&sending))
    }

    /// looks at header fields from all sides
    pub async fn fields(&self, server: Server) -> Result<Value> {
        Ok(fields::look(&server.authority))
    }

    /// makes header fields, and tells how many it got
    pub async fn fill_fields(&self, many: Many) -> Result<Value> {
        Ok(fields::fill(many.count, many.size))
    }

    /// builds an answer, which a client has no use for
    pub async fn build_response(&self) -> Result<Value> {
        Ok(handles::build_response())
    }

    /// takes everything twice that can be taken once
    pub async fn take_twice(&self, server: Server) -> Result<Value> {
        Ok(handles::take_twice(&server.authority))
    }

    /// drops things in an unusual order
    pub async fn drop_early(&self, order: Order) -> Result<Value> {
        Ok(handles::drop_early(&order.authority, &order.order))
    }

    /// asks for several pages at once and tells in which order they came
    pub async fn race(&self, pages: Pages) -> Result<Value> {
        Ok(handles::race(&pages.authority, &pages.paths, &pages.then))
    }

    /// sends so many bytes and keeps none of them
    pub async fn upload(&self, transfer: Transfer) -> Result<Value> {
        Ok(stream::upload(&transfer))
    }

    /// reads so many bytes and keeps none of them
    pub async fn download(&self, transfer: Transfer) -> Result<Value> {
        Ok(stream::download(&transfer))
    }

    /// writes a line, waits for its echo, and writes the next one
    pub async fn converse(&self, transfer: Transfer) -> Result<Value> {
        Ok(stream::converse(&transfer))
    }

    /// sends what it reads while it reads
    pub async fn pipe(&self, transfer: Transfer) -> Result<Value> {
        Ok(stream::pipe(&transfer))
    }
}
