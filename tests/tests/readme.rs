//! The README's way from a first run to a policy: every command in it prints what it says there.

use std::os::unix::fs::symlink;
use std::path::Path;

use aloma_tests::guest;
use aloma_tests::guests::PROJECT;
use aloma_tests::process::program;
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::process::Command;
use users_api::Server;

/// Where the API listens in the README.
const ORIGIN: &str = "http://127.0.0.1:8080";

/// A command, and what it prints.
struct Step {
    command: String,
    prints: String,
}

/// The parts of the README between these fences.
fn blocks<'a>(readme: &'a str, fence: &str) -> Vec<&'a str> {
    let opened = readme.split(fence).skip(1);
    opened.map(|block| block.split("```").next().expect("a fence that ends")).collect()
}

fn steps(readme: &str) -> Vec<Step> {
    let text = blocks(readme, "```console\n").concat();
    let parts = format!("\n{text}");
    let step = |part: &str| {
        let (command, prints) = part.split_once('\n').unwrap_or((part, ""));
        Step { command: command.to_owned(), prints: prints.to_owned() }
    };
    parts.split("\n$ ").skip(1).map(step).collect()
}

/// A folder with what the README takes for granted.
fn folder(readme: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let settings = blocks(readme, "```toml\n");
    let settings = settings.iter().find(|block| block.starts_with("component = "));
    std::fs::write(path("connector.toml"), settings.expect("settings")).expect("a file");
    std::fs::create_dir(path("bin")).expect("a folder");
    symlink(program(), path("bin/aloma-wasm")).expect("a link");
    let users = std::fs::read(guest("users")).expect("a component");
    std::fs::write(path("users.wasm"), &users).expect("a file");
    std::fs::write(path("users-2.wasm"), next_version(users)).expect("a file");
    folder
}

/// The same component that asks for another origin.
fn next_version(mut component: Vec<u8>) -> Vec<u8> {
    let (old, new) = (b"https://api.example.com", b"https://api.example.net");
    let places: Vec<_> = component.windows(old.len()).enumerate().collect();
    let places: Vec<_> =
        places.into_iter().filter(|(_, part)| part == old).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "it asks for another origin than in the README");
    places.iter().for_each(|&at| component[at..at + new.len()].copy_from_slice(new));
    component
}

async fn run(folder: &Path, before: &str, command: &str) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", &format!("{before}{command}")])
        .env_clear()
        .env("PATH", format!("{}:{path}", folder.join("bin").display()))
        .env("HOME", folder)
        .current_dir(folder)
        .output()
        .await
        .expect("a shell");
    // First what is told to people, then the result.
    let text = [output.stderr, output.stdout].concat();
    let text = String::from_utf8(text).expect("text");
    let is_log = |line: &str| line.starts_with("20") && line.contains(" WARN ");
    text.lines().filter(|line| !is_log(line)).map(|line| format!("{line}\n")).collect()
}

/// Lines without what is another at every run: times, sizes, digests, values of a result.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(steady).filter(|line| !line.is_empty()).collect()
}

fn steady(line: &str) -> String {
    if let Ok(result) = serde_json::from_str::<Map<String, Value>>(line) {
        return result.keys().cloned().collect::<Vec<_>>().join(" ");
    }
    let is_steady =
        |word: &str| word.contains("://") || !word.contains(|c: char| c.is_ascii_digit());
    let steady = |word: &str| match word.trim_end_matches(',') {
        "ms" | "s" => "TIME".to_owned(),
        _ if is_steady(word) => word.to_owned(),
        _ => "NUMBER".to_owned(),
    };
    line.split_whitespace().map(steady).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn every_command_prints_what_the_readme_says() {
    const KEY: &str = "demo-key";
    let any_port = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    let api = Server::bind(any_port, KEY.into()).await.expect("a free port");
    let readme = std::fs::read_to_string(Path::new(PROJECT).join("README.md")).expect("a README");
    let readme = readme.replace(ORIGIN, &api.url());
    tokio::spawn(api.run());
    let folder = folder(&readme);
    let (mut before, mut compared) = (String::new(), 0);
    for Step { command, prints } in steps(&readme) {
        if command.starts_with("export ") {
            before += &format!("{command}; ");
            continue;
        }
        let printed = run(folder.path(), &before, &command).await;
        let (shown, is_whole) = match prints.trim_end().strip_suffix('…') {
            Some(shown) => (shown, false),
            None => (prints.as_str(), true),
        };
        let (shown, mut found) = (lines(shown), lines(&printed));
        if !is_whole {
            found.truncate(shown.len());
        }
        assert_eq!(found, shown, "{command}\n{printed}");
        compared += shown.len();
    }
    assert!(compared > 30, "only {compared} lines");
}
