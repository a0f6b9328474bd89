//! `nodeai eval`: an evaluation from a terminal.

use super::app;
use super::evaluation_jobs::{dataset, drain, questions};
use serde_json::json;

#[test]
fn the_command_waits_prints_and_fails_below_a_limit() {
    let me = app().tenant();
    let (id, items) = dataset(&me, questions());
    let answers = json!({
        items["When?"].as_str().unwrap(): {"answer": "It opens at nine."},
        items["Where?"].as_str().unwrap(): {"answer": "No."},
    });
    let body =
        json!({"dataset_id": id, "target": {"answers": answers}, "metrics": ["exact_match"]});
    let file = std::env::temp_dir().join(format!("evaluation-{}.json", uuid::Uuid::now_v7()));
    std::fs::write(&file, body.to_string()).unwrap();
    let run = |limit: &str| {
        let mut command = std::process::Command::new(e2e::process::binary("nodeai"));
        command.arg("eval").arg(&file).args(["--url", &app().url]);
        command.args(["--key", &me.credential, "--fail-below", limit]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| command.output().expect("nodeai runs"));
            while !waiting.is_finished() {
                // On a host without a ticker somebody has to come.
                drain(&me);
            }
            waiting.join().expect("it ends")
        })
    };
    let good = run("exact_match=0.5");
    let printed = String::from_utf8_lossy(&good.stdout);
    assert!(
        good.status.success(),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );
    assert!(
        printed.contains("exact_match") && printed.contains("0.5000"),
        "{printed}"
    );
    let bad = run("exact_match=0.6");
    let said = String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(1), "{said}");
    assert!(said.contains("exact_match is 0.5, below 0.6"), "{said}");
    std::fs::remove_file(file).unwrap();
}
