//! The gateway in front of the PostgREST-compatible server.

use std::process::Command;

#[test]
fn it_says_which_argument_is_missing() {
    let output = Command::new(env!("CARGO_BIN_EXE_postgrest-standin")).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("LISTEN is missing"));
}
