//! The workflows in `examples/` are valid and run.

mod support;

use nodeai_engine::{Status, validate};
use serde_json::{Value, json};
use support::App;

fn example(name: &str) -> Value {
    let path = format!("{}/../../examples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect(&path);
    serde_json::from_str(&text).expect(&path)
}

/// Runs an example with some inputs changed and gives back its outputs.
fn run(app: &App, name: &str, changes: Value) -> Value {
    let example = example(name);
    let mut inputs = example["inputs"].clone();
    if let (Some(inputs), Some(changes)) = (inputs.as_object_mut(), changes.as_object()) {
        inputs.extend(changes.clone());
    }
    let finished = app.run(&example["definition"], inputs);
    assert_eq!(
        finished.status,
        Status::Succeeded,
        "{name}: {:?}",
        finished.error
    );
    finished.outputs
}

#[test]
fn a_ticket_goes_the_way_that_it_needs() {
    let app = App::start();
    let outputs = run(&app, "support-ticket-triage", json!({}));
    assert_eq!(outputs["result"]["queue"], "on-call");
    let calm = json!({"subject": "Thanks", "body": "All is well."});
    let outputs = run(&app, "support-ticket-triage", calm);
    assert_eq!(outputs["result"]["priority"], "normal");
    assert!(
        outputs["result"]["text"]
            .as_str()
            .is_some_and(|text| text.contains("Answer Ada"))
    );
}

#[test]
fn a_page_is_fetched_and_summarised_or_found_unreachable() {
    let app = App::start();
    let page = json!({"url": format!("{}/web/page", app.standin.url)});
    let outputs = run(&app, "summarise-a-page", page);
    assert_eq!(outputs["summary"]["status"], 200);
    let summary = outputs["summary"]["summary"].as_str().unwrap_or_default();
    assert!(
        summary.contains("A page to summarise.") && !summary.contains("<h1>"),
        "{summary}"
    );
    let missing = json!({"url": format!("{}/web/status/404", app.standin.url)});
    let outputs = run(&app, "summarise-a-page", missing);
    assert_eq!(outputs["unreachable"]["problem"], "the server answered 404");
    assert!(outputs.get("summary").is_none());
}

#[test]
fn two_answers_are_judged() {
    let outputs = run(&App::start(), "two-models-and-a-judge", json!({}));
    assert_eq!(outputs["verdict"]["a"], "echo: Why is the sky blue?");
    assert!(
        outputs["verdict"]["tokens"]
            .as_i64()
            .is_some_and(|tokens| tokens > 12)
    );
}

#[test]
fn a_batch_comes_back_in_three_languages() {
    let outputs = run(&App::start(), "translate-a-batch", json!({}));
    let outputs = &outputs["translations"];
    assert_eq!(outputs["count"], 3);
    for language in ["german", "french", "spanish"] {
        let text = outputs[language].as_str().unwrap_or_default();
        assert!(
            text.contains("2. Where is the station?"),
            "{language}: {text}"
        );
    }
}

#[test]
fn a_lead_is_enriched_if_it_is_known() {
    let app = App::start();
    let known = json!({"directory_url": format!("{}/web/people", app.standin.url)});
    let outputs = run(&app, "enrich-a-lead", known);
    assert_eq!(outputs["enriched"]["person"]["name"], "Ada Lovelace");
    let unknown = json!({"directory_url": format!("{}/web/status/404", app.standin.url)});
    let outputs = run(&app, "enrich-a-lead", unknown);
    assert_eq!(outputs["enriched"]["known"], false);
    let line = outputs["enriched"]["first_line"]
        .as_str()
        .unwrap_or_default();
    assert!(line.contains("research april.biz by hand"), "{line}");
}

/// What they do is shown by the end-to-end tests.
#[test]
fn connectors_are_valid_and_say_what_they_take() {
    for name in [
        "github-repository",
        "github-issues",
        "notion-database",
        "google-sheet",
        "rss-feed",
    ] {
        let example = example(&format!("connectors/{name}"));
        let checked = validate(&example["definition"]);
        assert!(checked.is_ok(), "{name}: {:#?}", checked.err());
        let fields = example["definition"]["nodes"][0]["data"]["schema"].as_array();
        for field in fields.expect("a schema") {
            let given = example["inputs"].get(field["name"].as_str().unwrap_or_default());
            let needed = field["required"] == true;
            assert!(field["description"].is_string(), "{name}: {field}");
            assert!(!needed || given.is_some(), "{name}: {field}");
        }
    }
}
