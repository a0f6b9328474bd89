//! With the application's own tenant predicates left out (a build for this test only), row-level security alone holds.
//! A test binary of its own: that build would slow down whatever runs beside it.

use e2e::app::{JWT_SECRET, ready_file, wait_for};
use e2e::process::{Running, root};
use e2e::project::{Project, read_manifest};
use e2e::{Tenant, assert_problem, assert_status, database, token};
use serde_json::{Value, json};
use std::process::Command;

/// Users' code: a component that reaches no database.
const CODE: &str = "code";

/// Every area: a folder of `functions/`.
fn areas() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("functions")).unwrap();
    let names = folders.flatten().map(|entry| entry.file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name != CODE)
        .collect()
}

/// Components without tenant predicates, in a target folder of their own.
fn project() -> Project {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args([
        "build",
        "--quiet",
        "--profile",
        "wasm-quick",
        "--target",
        "wasm32-wasip2",
        "--target-dir",
        "target/rls-only",
    ]);
    for area in areas() {
        command.args(["-p", &area, "--features", &format!("{area}/rls-only")]);
    }
    assert!(
        command.status().unwrap().success(),
        "the components do not build"
    );
    // That one stays as it is for everybody.
    drop(Project::new());
    let usual = "\"target/wasm32-wasip2/wasm/";
    let built = "\"target/rls-only/wasm32-wasip2/wasm-quick/";
    let manifest = read_manifest().replace(usual, built);
    let code = |folder: &str| format!("{folder}{CODE}.wasm");
    Project::with_manifest(&manifest.replace(&code(built), &code(usual)))
}

#[test]
fn strangers_see_nothing_though_the_application_does_not_look() {
    let owner_config = migrations_tests::owner_config();
    let name = format!("rls_{}", uuid::Uuid::new_v4().simple());
    database::execute(
        &database::url(&owner_config, "postgres"),
        &format!("CREATE DATABASE {name}"),
    );
    let project = project();
    let ready = ready_file();
    let mut command = project.up(&ready);
    command
        .args(["--database-url", &database::url(&owner_config, &name)])
        .env("SPIN_VARIABLE_NODEAI_JWT_SECRET", JWT_SECRET);
    let mut host = Running::start(command);
    let url = wait_for(&ready, &mut host)["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let tenant = || {
        let user = uuid::Uuid::now_v7().to_string();
        let token = token::user(&user, None, JWT_SECRET);
        Tenant::new(&url, user, token)
    };
    let (owner, stranger) = (tenant(), tenant());
    let definition = json!({
        "nodes": [{"id": "in", "type": "input", "data": {}}, {"id": "out", "type": "output", "data": {"value": "x"}}],
        "edges": [{"id": "a", "source": "in", "target": "out"}],
    });
    let id = owner.workflow("secret", &definition);
    let run = owner.post("/api/v1/workflows/execute", &json!({"workflow_id": id}));
    assert_status(&run, 200);

    for path in [
        "/api/v1/workflows",
        "/api/v1/workflows/execute",
        "/api/v1/traces?kind=run",
    ] {
        assert_eq!(
            owner.get(path).json["data"].as_array().map(Vec::len),
            Some(1),
            "{path}"
        );
        assert_eq!(stranger.get(path).json["data"], json!([]), "{path}");
    }
    let path = format!("/api/v1/workflows/{id}");
    assert_problem(&stranger.get(&path), 404, "not-found");
    let body = json!({"name": "taken over", "definition": definition});
    assert_problem(
        &stranger.put_with(&path, &[("if-match", "*")], &body),
        404,
        "not-found",
    );
    assert_problem(&stranger.delete(&path), 404, "not-found");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let trace = format!("/api/v1/traces/{}", text(&run.json["trace_id"]));
    assert_problem(&stranger.get(&trace), 404, "not-found");
    let execution = format!(
        "/api/v1/workflows/execute/{}",
        text(&run.json["execution_id"])
    );
    assert_problem(&stranger.get(&execution), 404, "not-found");
    assert_status(&owner.get(&path), 200);
}
