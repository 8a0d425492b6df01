//! Bad input: an exit code and a sentence that says what to do, each time.

use std::path::PathBuf;

use aloma_tests::{cli, guest};
use tempfile::TempDir;

/// The head of a core module, which is a whole one by itself.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// The head of a component, which is an empty one by itself.
const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A file that goes with the test.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

fn file(name: &str, content: impl AsRef<[u8]>) -> File {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("a file");
    File { _folder: folder, path }
}

/// Every command that takes a file says the same.
async fn refuses(file: &File, says: &[&str]) {
    let name = file.path.file_name().and_then(|name| name.to_str()).expect("a name");
    let says = [says, &[name]].concat();
    for command in ["run", "inspect"] {
        cli([command.into(), file.path.clone()]).await.failed(1, &says);
    }
    cli(["call".into(), file.path.clone(), "hello".into()]).await.failed(1, &says);
}

#[tokio::test]
async fn a_file_that_is_no_wasm() {
    refuses(&file("notes.txt", "just text"), &["no WebAssembly", "cargo component build"]).await;
}

#[tokio::test]
async fn an_empty_file() {
    refuses(&file("nothing.wasm", ""), &["empty"]).await;
}

#[tokio::test]
async fn a_core_module() {
    let says = ["core module", "cargo component build", "wasm32-wasip2"];
    refuses(&file("module.wasm", CORE_MODULE), &says).await;
}

#[tokio::test]
async fn a_component_of_another_world() {
    let says = ["no connector", "aloma:connector@0.1.0"];
    refuses(&file("other.wasm", EMPTY_COMPONENT), &says).await;
    let command = std::fs::read(guest("command")).expect("a guest");
    refuses(&file("command.wasm", command), &says).await;
}

#[tokio::test]
async fn a_file_that_is_cut_off() {
    let whole = std::fs::read(guest("hello")).expect("a guest");
    for length in [4, 6, whole.len() / 2, whole.len() - 1] {
        refuses(&file("half.wasm", &whole[..length]), &["cut off"]).await;
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_anywhere_never_crashes_the_program() {
    let whole = std::fs::read(guest("hello")).expect("a guest");
    for part in 1..8 {
        let mut damaged = whole.clone();
        let at = whole.len() * part / 8;
        for byte in &mut damaged[at..at + 16] {
            *byte ^= 0xff;
        }
        let damaged = file("damaged.wasm", damaged);
        let output = cli(["inspect".into(), damaged.path.clone()]).await;
        // A byte of a string may change without any harm.
        assert!(matches!(output.status.code(), Some(0 | 1)), "{part}: {output:#?}");
        assert!(!output.stderr.contains("panicked at"), "{part}: {output:#?}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there() {
    for command in ["run", "inspect"] {
        let output = cli([command, "no-such-folder/connector.wasm"]).await;
        output.failed(1, &["no-such-folder/connector.wasm", "No such file"]);
    }
}

#[tokio::test]
async fn a_folder_instead_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    cli(["inspect".into(), folder.path().to_path_buf()])
        .await
        .failed(1, &["it is no file", "give the .wasm file"]);
}

#[tokio::test]
async fn an_unknown_action_is_told_with_those_that_there_are() {
    let output = cli(["call".into(), guest("hello"), "helo".into()]).await;
    output.failed(1, &["helo", "hello"]);
}

#[tokio::test]
async fn arguments_that_do_not_fit_name_the_field() {
    for (arguments, says) in [(r#"{"name":7}"#, "`name`"), ("{}", "name")] {
        let args = [guest("hooks"), "crm.contacts.create".into(), arguments.into()];
        cli(["call".into()].into_iter().chain(args)).await.failed(1, &[says]);
    }
}

#[tokio::test]
async fn arguments_that_are_no_json_object_are_a_usage_error() {
    for arguments in ["{name:", "[]", "7"] {
        let args = ["call".into(), guest("hello"), "hello".into(), arguments.into()];
        cli(args).await.failed(2, &["JSON"]);
    }
}

#[tokio::test]
async fn wrong_flags_are_usage_errors_that_say_what_would_be_right() {
    let hello = guest("hello");
    let hello = hello.to_str().expect("a path that is text");
    for (args, says) in [
        (&["run"][..], "FILE"),
        (&["run", hello, "--alow", "x"], "--allow"),
        (&["run", hello, "--allow", "api.example.com"], "--allow https://api.example.com"),
        (&["run", hello, "--allow", "https://api.example.com/v1"], "https://api.example.com"),
        (&["run", hello, "--config", "=x"], "KEY=VALUE"),
        (&["run", hello, "--listen", "nowhere"], "--listen"),
        (&["unheard-of"], "unheard-of"),
        (&[], "Usage"),
    ] {
        cli(args.iter().copied()).await.failed(2, &[says]);
    }
}

#[tokio::test]
async fn an_unknown_field_of_the_configuration_is_named_with_those_that_there_are() {
    let args = [guest("users"), "hello".into(), "--config".into(), "APIKEY=x".into()];
    cli(["call".into()].into_iter().chain(args)).await.failed(1, &["APIKEY", "API_KEY"]);
}

#[tokio::test]
async fn an_env_file_that_is_not_there_is_named() {
    let args = [guest("hello"), "hello".into(), "--env-file".into(), "no-such.env".into()];
    cli(["call".into()].into_iter().chain(args)).await.failed(1, &["no-such.env"]);
}
