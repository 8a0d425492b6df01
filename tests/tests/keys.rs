//! `keys`: a pair for `.env`.

use aloma_tests::cli::run;
use aloma_tests::process::Invocation;
use aloma_tests::{Output, Seal, sealing};
use serde_json::json;
use tempfile::TempDir;

async fn keys_in(folder: &TempDir) -> Output {
    let directory = Some(folder.path().to_path_buf());
    run(Invocation { args: vec!["keys".into()], directory, ..Default::default() }).await
}

fn value(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).trim_matches('"').to_owned()
}

#[tokio::test]
async fn a_pair_that_works_is_written_for_the_owner_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = keys_in(&folder).await;
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    let file = folder.path().join(".env");
    let text = std::fs::read_to_string(&file).expect("the file");
    let (private, public) = (value(&text, "PRIVATE_KEY"), value(&text, "PUBLIC_KEY"));
    let sealed = Seal::new(&public, "1234").seal(&json!("secret"));
    assert_eq!(sealing::open(&private, &sealed)["_data"], "secret");
    assert!(!output.stdout.contains(&private) && !output.stderr.contains(&private));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn what_is_in_the_file_stays_and_a_pair_is_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(".env");
    std::fs::write(&file, "API_KEY=mine\n").expect("a file");
    assert_eq!(keys_in(&folder).await.status.code(), Some(0));
    let first = std::fs::read_to_string(&file).expect("the file");
    assert!(first.contains("API_KEY=mine"), "{first}");
    let output = keys_in(&folder).await;
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    assert!(output.stderr.contains("PRIVATE_KEY"), "{output:#?}");
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), first);
}
