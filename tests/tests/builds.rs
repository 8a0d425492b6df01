//! What an author builds: the same source with `cargo component build` and with `cargo build`, and
//! what `new` makes.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use aloma_tests::cli::run;
use aloma_tests::process::Invocation;
use aloma_tests::{Scene, cli, guest};
use serde_json::json;
use tokio::process::Command;

#[tokio::test]
async fn cargo_component_and_plain_cargo_build_the_same_connector() {
    let Some(component) = build_with_cargo_component("hooks").await else { return };
    for (action, arguments, result) in [
        ("echo", json!({"value": [1, {"a": null}]}), json!([1, {"a": null}])),
        ("crm.contacts.create", json!({"name": "Ann"}), json!({"created": "Ann"})),
        ("sleep", json!({"milliseconds": 1}), json!(null)),
    ] {
        for file in [guest("hooks"), component.clone()] {
            let args = [file.clone(), action.into(), arguments.to_string().into()];
            let output = cli(["call".into()].into_iter().chain(args)).await;
            assert_eq!(output.json(), result, "{}", file.display());
        }
    }
    assert_eq!(described(&component).await, described(&guest("hooks")).await);
}

/// The tutorial's connector, built as the tutorial's reader builds it, in a workspace that it has
/// never seen.
#[tokio::test]
async fn users_built_with_cargo_component_creates_a_user_with_a_sealed_key() {
    let Some(component) = build_with_cargo_component("users").await else { return };
    let any_port = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    let server = users_api::Server::bind(any_port, "the-key".into()).await.expect("a free port");
    let origin = server.url();
    tokio::spawn(server.run());
    let scene = Scene::file(&component)
        .config("API_KEY", "the-key")
        .config("BASE_URL", origin.clone())
        .allow_private(&origin)
        .start()
        .await;
    let introspection = scene.workspace.introspect().await;
    assert!(introspection.to_string().contains("declare function createUser("), "{introspection}");
    let ann = json!({"email": "ann@example.com", "firstName": "Ann", "lastName": "Lee"});
    let created = scene.query(&["createUser"], ann).await;
    assert_eq!(created["email"], "ann@example.com", "{created}");
    let user = scene.query(&["getUser"], json!({"userId": created["id"]})).await;
    assert_eq!(user["email"], "ann@example.com", "{user}");
}

async fn described(file: &Path) -> serde_json::Value {
    let output = cli(["inspect".into(), file.to_path_buf(), "--json".into()]).await;
    output.json()["manifest"]["actions"].clone()
}

async fn has_cargo_component() -> bool {
    let mut asked = Command::new("cargo");
    asked.args(["component", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().await.is_ok_and(|status| status.success())
}

/// None where there is no cargo-component, which is said.
async fn build_with_cargo_component(package: &str) -> Option<PathBuf> {
    if !has_cargo_component().await {
        eprintln!(
            "skipped: cargo-component is not installed; \
             `cargo install cargo-component --version 0.21.1 --locked` installs it"
        );
        return None;
    }
    let target = target_folder("cargo-component");
    let args = ["component", "build", "--release", "--package", package];
    cargo(Path::new(aloma_tests::guests::PROJECT), &target, &args).await;
    Some(target.join("wasm32-wasip1/release").join(format!("{package}.wasm")))
}

#[tokio::test]
async fn a_new_connector_passes_its_own_tests_builds_and_describes_itself() {
    let parent = tempfile::tempdir().expect("a folder");
    let args = vec!["new".into(), "my-connector".into()];
    let directory = Some(parent.path().to_path_buf());
    let made = Invocation { args, directory, ..Default::default() };
    assert_eq!(run(made.clone()).await.status.code(), Some(0));
    run(made).await.failed(1, &["my-connector", "exists already"]);
    let (folder, target) = (parent.path().join("my-connector"), target_folder("new"));
    cargo(&folder, &target, &["test"]).await;
    cargo(&folder, &target, &["build", "--release", "--target", "wasm32-wasip2"]).await;
    let built = target.join("wasm32-wasip2/release/my_connector.wasm");
    let output = cli(["inspect".into(), built]).await;
    assert!(output.stdout.contains("my-connector"), "{output:#?}");
}

#[tokio::test]
async fn a_name_that_cannot_be_one_makes_nothing() {
    for name in ["../outside", "2go", "serde"] {
        cli(["new", name]).await.failed(1, &[name]);
    }
}

fn target_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs cargo as an author does, not as a part of the tests' own build.
async fn cargo(folder: &Path, target: &Path, args: &[&str]) {
    let mut build = Command::new("cargo");
    build.current_dir(folder).args(args).arg("--target-dir").arg(target).kill_on_drop(true);
    for name in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"] {
        build.env_remove(name);
    }
    let output = build.output().await.expect("cargo is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {}: {said}", args.join(" "));
}
