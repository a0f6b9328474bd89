//! Each provider's words.

use super::*;
use serde_json::json;

fn place(dialect: Dialect) -> Place {
    Place {
        dialect,
        base_url: "https://p.example/v1/".to_owned(),
        key: "k".to_owned(),
    }
}

fn body(request: &Request<Bytes>) -> Value {
    serde_json::from_slice(request.body()).expect("JSON")
}

#[test]
fn orders_are_in_each_providers_words() {
    let order = Order {
        model: "m",
        training_file: "f1",
        validation_file: Some("f2"),
        suffix: Some("s"),
        epochs: Some(3),
        ..Order::default()
    };
    let of = |dialect| place(dialect).create(&order).expect("a request");
    let openai = of(Dialect::Openai);
    assert_eq!(openai.uri(), "https://p.example/v1/fine_tuning/jobs");
    assert_eq!(openai.headers()["authorization"], "Bearer k");
    let want = json!({"model": "m", "training_file": "f1", "validation_file": "f2", "suffix": "s",
        "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}});
    assert_eq!(body(&openai), want);
    let azure = of(Dialect::Azure);
    assert_eq!(
        azure.uri(),
        "https://p.example/v1/openai/fine_tuning/jobs?api-version=2024-10-21"
    );
    assert_eq!(azure.headers()["api-key"], "k");
    let together = of(Dialect::Together);
    assert_eq!(together.uri(), "https://p.example/v1/fine-tunes");
    assert_eq!(body(&together)["n_epochs"], 3);
    let mistral = body(&of(Dialect::Mistral));
    assert_eq!(mistral["training_files"][0]["file_id"], "f1");
    assert_eq!(mistral["validation_files"], json!(["f2"]));
}

#[test]
fn steps_have_their_paths_or_are_refused() {
    let uri = |dialect, step| {
        place(dialect)
            .step(step, "ft-1", Some("e9"))
            .map(|r| r.uri().to_string())
    };
    assert_eq!(
        uri(Dialect::Openai, Step::Events),
        Ok("https://p.example/v1/fine_tuning/jobs/ft-1/events?limit=100&after=e9".to_owned())
    );
    assert_eq!(
        uri(Dialect::Azure, Step::Events),
        Ok("https://p.example/v1/openai/fine_tuning/jobs/ft-1/events?limit=100&after=e9&api-version=2024-10-21".to_owned())
    );
    assert_eq!(
        uri(Dialect::Mistral, Step::Checkpoints),
        Ok("https://p.example/v1/fine_tuning/jobs/ft-1".to_owned())
    );
    assert_eq!(
        uri(Dialect::Together, Step::Pause),
        Err(Error::CannotDo("pause jobs"))
    );
    let hostile = place(Dialect::Openai).step(Step::Get, "../files", None);
    assert_eq!(hostile.err(), Some(Error::Unsendable));
}

#[test]
fn jobs_are_read_in_our_own_words() {
    let read = |dialect, answer: Value| place(dialect).read_job(&answer).expect("a job");
    let done = read(
        Dialect::Openai,
        json!({"id": "ftjob-1", "status": "succeeded", "fine_tuned_model": "ft:m::1", "trained_tokens": 10, "error": {}}),
    );
    assert_eq!(
        (
            done.status,
            done.result_model.as_deref(),
            done.trained_tokens
        ),
        ("succeeded", Some("ft:m::1"), Some(10))
    );
    let failed = read(
        Dialect::Openai,
        json!({"id": "1", "status": "failed", "fine_tuned_model": null, "error": {"message": "bad file"}}),
    );
    assert_eq!(
        (failed.status, failed.error.as_deref()),
        ("failed", Some("bad file"))
    );
    let together = read(
        Dialect::Together,
        json!({"id": "ft-1", "status": "completed", "output_name": "me/m", "token_count": 7}),
    );
    assert_eq!(
        (together.status, together.result_model.as_deref()),
        ("succeeded", Some("me/m"))
    );
    assert_eq!(
        read(Dialect::Mistral, json!({"id": "1", "status": "VALIDATING"})).status,
        "checking"
    );
    assert_eq!(
        read(
            Dialect::Together,
            json!({"id": "1", "status": "compressing"})
        )
        .status,
        "running"
    );
    assert!(
        place(Dialect::Openai)
            .read_job(&json!({"error": "x"}))
            .is_err()
    );
}

#[test]
fn events_come_oldest_first() {
    let row = |id: &str| json!({"id": id, "created_at": 1, "level": "info", "message": id, "data": {"step": 1}});
    let openai = place(Dialect::Openai).read_events(&json!({"data": [row("e2"), row("e1")]}));
    let ids: Vec<String> = openai.expect("events").into_iter().map(|e| e.id).collect();
    assert_eq!(ids, ["e1", "e2"]);
    let mistral = json!({"events": [{"name": "status-updated", "data": {"status": "RUNNING"}, "created_at": 2}]});
    let mistral = place(Dialect::Mistral)
        .read_events(&mistral)
        .expect("events");
    assert_eq!(
        (mistral[0].message.as_str(), mistral[0].id.as_str()),
        ("status-updated", "1")
    );
}
