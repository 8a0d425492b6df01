//! A connector that goes to its limits, and a little beyond.

use aloma_connector::{Result, connector, info};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The controller.
#[derive(Default)]
pub struct Rude;

/// How much.
#[derive(Deserialize, JsonSchema)]
pub struct HowMuch {
    count: usize,
}

/// Misbehaves.
#[connector]
impl Rude {
    /// behaves
    pub async fn behave(&self) -> Result<Value> {
        Ok(json!({"well": true}))
    }

    /// ends the process, or so it thinks
    pub async fn exit(&self) -> Result<()> {
        std::process::exit(7);
    }

    /// logs so many lines
    pub async fn flood(&self, much: HowMuch) -> Result<()> {
        for line in 0..much.count {
            info!("rude: line {line}");
        }
        Ok(())
    }

    /// prints so many lines
    pub async fn print(&self, much: HowMuch) -> Result<()> {
        for line in 0..much.count {
            println!("rude: printed {line}");
        }
        Ok(())
    }

    /// answers a text of so many bytes
    pub async fn large(&self, much: HowMuch) -> Result<String> {
        Ok("x".repeat(much.count))
    }

    /// answers a list so deep
    pub async fn nested(&self, much: HowMuch) -> Result<Value> {
        Ok((0..much.count).fold(json!([]), |inner, _| json!([inner])))
    }

    /// looks for files and variables of the host
    pub async fn snoop(&self) -> Result<Value> {
        let files = std::fs::read_dir("/").map_or(0, Iterator::count);
        let variables: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
        let connected = std::net::TcpStream::connect("127.0.0.1:80").is_ok();
        Ok(json!({"files": files, "variables": variables, "connected": connected}))
    }
}
