//! `inspect`: what a connector is, before anybody runs it.

use aloma_tests::cli::run;
use aloma_tests::process::Invocation;
use aloma_tests::{cli, guest};

#[tokio::test]
async fn people_read_what_it_is_asks_and_does() {
    let output = cli(["inspect".into(), guest("hooks")]).await;
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    for part in [
        "hooks",
        "0.1.0",
        "https://api.example.com",
        "to have something to ask for",
        "API_KEY",
        "crm.contacts.create",
        "makes a contact",
        "aloma:connector/http",
        "MiB",
    ] {
        assert!(output.stdout.contains(part), "the text lacks {part:?}:\n{}", output.stdout);
    }
}

#[tokio::test]
async fn programs_read_it_as_json() {
    let output = cli(["inspect".into(), guest("hooks").into_os_string(), "--json".into()]).await;
    let said = output.json();
    let text = said.to_string();
    for part in
        ["crm.contacts.create", "https://api.example.com", "API_KEY", "aloma:connector/http"]
    {
        assert!(text.contains(part), "{said:#}");
    }
    let actions = said["manifest"]["actions"].as_array().expect("actions");
    let create = actions.iter().find(|action| action["name"] == "crm.contacts.create");
    let create = create.expect("the action");
    assert_eq!(create["arguments"]["properties"]["name"]["type"], "string", "{create}");
    assert_eq!(create["arguments"]["required"][0], "name", "{create}");
    let echo = actions.iter().find(|action| action["name"] == "echo").expect("the action");
    assert_eq!(echo["hints"]["readOnly"], true, "{echo}");
}

#[tokio::test]
async fn nothing_of_the_connector_is_run_but_its_description() {
    let output = run(Invocation {
        args: vec!["inspect".into(), guest("hooks").into()],
        env: [("LOG_LEVEL".to_owned(), "trace".to_owned())].into(),
        directory: None,
    })
    .await;
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    assert!(!output.stderr.contains("hooks: started"), "{output:#?}");
}

#[tokio::test]
async fn the_isolation_of_the_settings_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("connector.toml");
    for (isolation, says) in
        [("reuse", "one call after the other"), ("call", "every call has an instance of its own")]
    {
        let text = format!("component = {:?}\nisolation = {isolation:?}\n", guest("hooks"));
        std::fs::write(&file, text).expect("a file");
        let args = ["inspect".into(), file.clone().into_os_string()];
        assert!(cli(args.clone()).await.stdout.contains(says), "{isolation}");
        let said = cli(args.into_iter().chain(["--json".into()])).await.json();
        assert_eq!(said["settings"]["isolation"], isolation);
    }
}
