//! The library: folders, search, order, copies, the archive.

use super::{app, documents::hello};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

fn store(me: &Tenant, name: &str, more: Value) -> String {
    let mut body = json!({"name": name, "definition": hello()});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    let reply = me.post("/api/v1/workflows", &body);
    assert_status(&reply, 201);
    format!("/api/v1/workflows/{}", reply.json["id"].as_str().unwrap())
}

fn names(reply: &Reply) -> Vec<&str> {
    assert_status(reply, 200);
    let rows = reply.json["data"].as_array().unwrap();
    rows.iter().map(|w| w["name"].as_str().unwrap()).collect()
}

#[test]
fn what_is_known_changes_and_the_document_stays() {
    let me = app().tenant();
    let path = store(&me, "plain", json!({"description": "old"}));
    let patch = json!({"name": "fancy", "description": null, "tags": ["a"], "folder": "x/y"});
    let changed = me.patch(&path, &patch);
    assert_status(&changed, 200);
    assert_eq!(changed.json["version"], 2);
    assert_eq!(changed.header("etag"), "\"v2\"");
    let read = me.get(&path).json;
    assert_eq!(
        (&read["name"], &read["description"]),
        (&json!("fancy"), &Value::Null)
    );
    assert_eq!(
        (&read["tags"], &read["folder"]),
        (&json!(["a"]), &json!("x/y"))
    );
    assert_eq!(read["definition"], hello());

    let body = json!({"name": "replaced", "definition": hello()});
    assert_status(&me.put_with(&path, &[("if-match", "*")], &body), 200);
    assert_eq!(
        me.get(&path).json["folder"],
        "x/y",
        "a replacement does not move it"
    );
    let stale = me.patch_with(&path, &[("if-match", "\"v1\"")], &json!({"name": "late"}));
    assert_problem(&stale, 412, "stale-version");
    assert_problem(
        &me.patch(&path, &json!({"folder": ""})),
        400,
        "invalid-input",
    );
    assert_problem(
        &me.patch(&path, &json!({"definition": {}})),
        400,
        "invalid-input",
    );
}

#[test]
fn lists_filter_by_folder_and_text_and_sort() {
    let me = app().tenant();
    store(
        &me,
        "beta",
        json!({"folder": "mail", "description": "sends a NEWSletter"}),
    );
    store(&me, "alpha", json!({"folder": "mail", "tags": ["news"]}));
    let gamma = store(&me, "gamma", json!({}));
    let list = |query: &str| me.get(&format!("/api/v1/workflows?{query}"));
    assert_eq!(names(&list("")), ["gamma", "alpha", "beta"]);
    assert_eq!(names(&list("folder=mail")), ["alpha", "beta"]);
    assert_eq!(names(&list("folder=")), ["gamma"]);
    assert_eq!(names(&list("q=news")), ["alpha", "beta"]);
    assert_eq!(names(&list("q=GAM")), ["gamma"]);
    assert_eq!(names(&list("q=%25%22%2C)(")), Vec::<&str>::new());
    assert_eq!(names(&list("sort=name")), ["alpha", "beta", "gamma"]);

    let first = list("sort=name&limit=2");
    assert_eq!(names(&first), ["alpha", "beta"]);
    let cursor = first.json["next_cursor"].as_str().unwrap();
    assert_eq!(
        names(&list(&format!("sort=name&limit=2&cursor={cursor}"))),
        ["gamma"]
    );
    assert_status(&me.patch(&gamma, &json!({"tags": ["late"]})), 200);
    assert_eq!(names(&list("sort=updated_at&limit=1")), ["gamma"]);
    assert_problem(&list("sort=colour"), 400, "invalid-input");

    let folders = me.get("/api/v1/workflows/folders").json;
    let counts = json!([{"folder": null, "count": 1}, {"folder": "mail", "count": 2}]);
    assert_eq!(folders["data"], counts);
}

#[test]
fn a_copy_is_a_workflow_of_its_own() {
    let me = app().tenant();
    let path = store(&me, "original", json!({"folder": "mail", "tags": ["t"]}));
    let copy = me.post(&format!("{path}/duplicate"), &json!({}));
    assert_status(&copy, 201);
    assert_eq!(copy.json["name"], "original (copy)");
    assert_eq!(
        (&copy.json["folder"], &copy.json["version"]),
        (&json!("mail"), &json!(1))
    );
    assert_eq!(copy.json["definition"], hello());
    assert_eq!(me.get(copy.header("location")).json["tags"], json!(["t"]));
    let named = me.post(
        &format!("{path}/duplicate"),
        &json!({"name": "second", "folder": "other"}),
    );
    assert_eq!(
        (&named.json["name"], &named.json["folder"]),
        (&json!("second"), &json!("other"))
    );
    assert_eq!(me.get(&path).json["version"], 1);
    let versions = me
        .get(&format!("{}/versions", copy.header("location")))
        .json;
    assert!(
        versions["data"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("Copy of")
    );
}

#[test]
fn the_archive_is_out_of_sight_and_does_not_run() {
    let me = app().tenant();
    let path = store(&me, "old", json!({}));
    let id = path.rsplit('/').next().unwrap();
    let run = || {
        let body = json!({"workflow_id": id, "inputs": {"name": "Ada"}});
        me.post("/api/v1/workflows/execute", &body)
    };
    assert_status(&run(), 200);
    let archived = me.post(&format!("{path}/archive"), &json!({}));
    assert_status(&archived, 200);
    assert!(archived.json["archived_at"].is_string());
    assert_eq!(names(&me.get("/api/v1/workflows")), Vec::<&str>::new());
    assert_eq!(names(&me.get("/api/v1/workflows?archived=true")), ["old"]);
    assert_eq!(names(&me.get("/api/v1/workflows?archived=all")), ["old"]);
    assert_eq!(me.get("/api/v1/workflows/folders").json["data"], json!([]));
    assert_status(&me.get(&path), 200);
    assert_problem(&run(), 409, "conflict");
    let runs = me.get("/api/v1/workflows/execute").json;
    assert_eq!(
        runs["data"].as_array().unwrap().len(),
        1,
        "the refused one left nothing"
    );

    assert_status(&me.post(&format!("{path}/unarchive"), &json!({})), 200);
    assert_eq!(names(&me.get("/api/v1/workflows")), ["old"]);
    assert_status(&run(), 200);
}
