//! Two projects at once on one machine, each with its embedded database; and one project twice.

use e2e::app::{ready_file, wait_for};
use e2e::process::{Running, binary};
use e2e::project::Project;
use e2e::{Tenant, assert_status};
use serde_json::Value;
use std::process::{Command, Stdio};

fn start(project: &Project) -> (Running, Value) {
    let ready = ready_file();
    let mut host = Running::start(project.up(&ready));
    let told = wait_for(&ready, &mut host);
    (host, told)
}

fn local(told: &Value) -> Tenant {
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    Tenant::new(&text("url"), text("user_id"), text("api_key"))
}

#[test]
fn two_projects_do_not_meet_and_a_restart_keeps_the_key() {
    let (one, two) = (Project::new(), Project::new());
    let (host_one, told_one) = start(&one);
    let (_host_two, told_two) = start(&two);
    assert_status(&local(&told_one).get("/api/v1/workflows"), 200);
    assert_status(&local(&told_two).get("/api/v1/workflows"), 200);
    let crossed = Tenant::new(
        told_two["url"].as_str().unwrap(),
        String::new(),
        told_one["api_key"].as_str().unwrap().into(),
    );
    assert_status(&crossed.get("/api/v1/workflows"), 401);

    drop(host_one);
    let (_again, told_again) = start(&one);
    assert_eq!(told_again["api_key"], told_one["api_key"]);
    assert_status(&local(&told_again).get("/api/v1/workflows"), 200);
}

#[test]
fn the_same_project_cannot_be_up_twice_and_a_taken_port_is_one_sentence() {
    let project = Project::new();
    let (_host, told) = start(&project);
    let second = project
        .up(&ready_file())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(!second.status.success());

    let other = Project::new();
    let taken = told["url"]
        .as_str()
        .unwrap()
        .trim_start_matches("http://")
        .to_owned();
    let output = Command::new(binary("nodeai"))
        .current_dir(other.path())
        .args([
            "up",
            "--quiet",
            "--no-build",
            "--ephemeral",
            "--listen",
            &taken,
        ])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&taken), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
