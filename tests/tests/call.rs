//! `call`: one action without any workspace.

use aloma_tests::cli::run;
use aloma_tests::process::Invocation;
use aloma_tests::{Answer, FakeApi, cli, guest};
use serde_json::json;

fn call(guest_name: &str, rest: &[&str]) -> Vec<std::ffi::OsString> {
    let mut args = vec!["call".into(), guest(guest_name).into()];
    args.extend(rest.iter().map(Into::into));
    args
}

#[tokio::test]
async fn the_result_is_all_that_standard_output_holds() {
    let output = cli(call("hello", &["hello", "{}"])).await;
    assert_eq!(output.json(), json!({"hi": "world"}));
}

#[tokio::test]
async fn arguments_may_be_left_out() {
    assert_eq!(cli(call("hello", &["hello"])).await.json(), json!({"hi": "world"}));
}

#[tokio::test]
async fn long_arguments_are_checked_as_short_ones_are() {
    for length in [3, 60_000] {
        let name = "x".repeat(length);
        let arguments = json!({ "name": name }).to_string();
        assert_eq!(cli(call("hello", &["hello", &arguments])).await.json(), json!({ "hi": name }));
        let arguments = json!({ "name": vec![0; length / 2] }).to_string();
        let says = ["arguments of `hello` do not fit", "`name`", "string"];
        cli(call("hello", &["hello", &arguments])).await.failed(1, &says);
    }
}

#[tokio::test]
async fn a_result_is_not_wrapped() {
    for value in [json!(42), json!([1]), json!("text"), json!(null)] {
        let arguments = json!({ "value": value }).to_string();
        assert_eq!(cli(call("hooks", &["echo", &arguments])).await.json(), value);
    }
}

#[tokio::test]
async fn what_the_connector_logs_goes_to_standard_error() {
    let line = r#"{"text":"a line of the guest"}"#;
    let output = cli(call("hooks", &["log", line, "--log-level", "info"])).await;
    assert!(output.stderr.contains("a line of the guest"), "{output:#?}");
    assert_eq!(output.json(), json!(null));
}

#[tokio::test]
async fn a_failure_is_exit_code_1_with_its_text() {
    let output = cli(call("hooks", &["fail", r#"{"message":"out of luck"}"#])).await;
    output.failed(1, &["out of luck"]);
}

#[tokio::test]
async fn grants_and_configuration_work_as_they_do_for_run() {
    let api = FakeApi::start();
    api.on("GET", "/me", |_| Answer::json(200, &json!({})));
    let arguments = json!({"url": api.url("/me")}).to_string();
    let config = ["sendKey", &arguments, "--config", "API_KEY=k1"];
    cli(call("hooks", &config)).await.failed(1, &["--allow-private", &api.origin()]);
    let origin = api.origin();
    let granted = [&config[..], &["--allow-private", &origin]].concat();
    assert_eq!(cli(call("hooks", &granted)).await.json()["status"], 200);
    assert_eq!(api.received()[0].header("authorization"), Some("Bearer k1"));
}

#[tokio::test]
async fn an_env_file_fills_fields_and_a_flag_goes_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("settings.env");
    std::fs::write(&file, "TEXT=\"from the file\"\nNUMBER=7\n").expect("a file");
    let read = |key: &str, more: &[&str]| {
        let arguments = json!({ "key": key }).to_string();
        let file = file.to_str().expect("a path that is text");
        cli(call("hooks", &[&["readConfig", &arguments, "--env-file", file], more].concat()))
    };
    assert_eq!(read("TEXT", &[]).await.json(), json!({"value": "from the file"}));
    assert_eq!(read("NUMBER", &[]).await.json(), json!({"value": "7"}));
    assert_eq!(read("TEXT", &["--config", "TEXT=flag"]).await.json(), json!({"value": "flag"}));
}

#[tokio::test]
async fn a_dot_env_in_the_working_directory_is_read_and_never_overrides() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(".env"), "TEXT=file\nNUMBER=7\n").expect("a file");
    let read = |key: &str| Invocation {
        args: call("hooks", &["readConfig", &json!({ "key": key }).to_string()]),
        env: [("TEXT".to_owned(), "variable".to_owned())].into(),
        directory: Some(folder.path().into()),
    };
    assert_eq!(run(read("TEXT")).await.json(), json!({"value": "variable"}));
    assert_eq!(run(read("NUMBER")).await.json(), json!({"value": "7"}));
}

#[tokio::test]
async fn tasks_need_a_workspace_and_the_error_says_so() {
    let output = cli(call("hooks", &["newTask", r#"{"name":"n","data":{}}"#])).await;
    output.failed(1, &["workspace"]);
}
