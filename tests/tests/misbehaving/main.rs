//! Guests that misbehave, each in its own way. Each hurts only itself: its
//! call gets a clear error, its next call works, a neighbour in the same process answers meanwhile, and
//! the memory of the process stays in bounds.
#![cfg(target_os = "linux")]

mod http;
mod memory;
mod output;
mod time;

#[test]
fn every_guest_has_a_test_of_its_name() {
    let tests: String = [
        include_str!("http.rs"),
        include_str!("memory.rs"),
        include_str!("output.rs"),
        include_str!("time.rs"),
    ]
    .concat();
    for folder in ["examples", "wat"] {
        let folder = format!("{}/tests/guests/misbehaving/{folder}", aloma_tests::guests::PROJECT);
        for file in std::fs::read_dir(folder).expect("the folder").flatten() {
            let name = file.path().file_stem().expect("a name").to_string_lossy().replace('-', "_");
            assert!(tests.contains(&format!("async fn {name}()")), "there is no test {name}");
        }
    }
}
