//! With the application's own tenant predicates left out (a byte of its components turned for this test only),
//! row-level security alone holds. A test binary of its own: its components are compiled once more.

use e2e::app::{JWT_SECRET, ready_file, wait_for};
use e2e::process::{Running, root};
use e2e::project::{Project, read_manifest};
use e2e::{Tenant, assert_problem, assert_status, database, token};
use serde_json::{Value, json};

/// The areas that this test reads through.
const AREAS: [&str; 3] = ["workflows", "execute", "traces"];

/// `NAMES_TENANT` of `nodeai_store` but for its last byte.
const MARK: &[u8] = b"nodeai: reads name their tenant=";

/// A project whose reads through `AREAS` name no tenant.
fn project() -> Project {
    let project = Project::new();
    let mut manifest = read_manifest();
    for area in AREAS {
        let built = format!("target/wasm32-wasip2/wasm/{area}.wasm");
        assert!(manifest.contains(&built), "{area} is in the manifest");
        let mut bytes = std::fs::read(root().join(&built)).unwrap();
        let found = bytes.windows(MARK.len()).position(|w| w == MARK);
        let flag = found.expect("the component names tenants") + MARK.len();
        assert_eq!(bytes[flag], b'1');
        bytes[flag] = b'0';
        let turned = format!("{area}-rls.wasm");
        std::fs::write(project.path().join(&turned), bytes).unwrap();
        manifest = manifest.replace(&built, &turned);
    }
    std::fs::write(project.path().join("spin.toml"), manifest).unwrap();
    project
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

    // Without row security either there is nothing left: what held was row-level security.
    database::execute(
        &database::url(&owner_config, &name),
        "ALTER TABLE execution_queue DISABLE ROW LEVEL SECURITY",
    );
    let shown = stranger.get("/api/v1/workflows/execute");
    assert_eq!(
        shown.json["data"].as_array().map(Vec::len),
        Some(1),
        "{}",
        shown.text
    );
}
