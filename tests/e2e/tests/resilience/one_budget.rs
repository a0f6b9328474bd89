//! 200 runs at once on one budget: what is spent is never above it, and every run says how it ended.

use super::definition;
use e2e::Tenant;
use e2e::app::{ready_file, wait_for};
use e2e::process::Running;
use e2e::project::Project;
use llm_standin::StandIn;
use serde_json::{Value, json};
use std::time::Duration;

const BUDGETS: &str = "/api/v1/cost-intelligence/budgets";
const LIMIT: i64 = 4_000;

/// What the stand-in has counted: questions, and the words in and out of each.
fn counted(llm: &StandIn) -> (i64, i64) {
    let requests = llm.requests();
    let asked = requests
        .iter()
        .filter_map(|request| request.body["messages"][0]["content"].as_str());
    let words = asked.map(|text| text.split_whitespace().count() as i64);
    // The answer is "You said: " and the question.
    words.fold((0, 0), |(n, sum), words| (n + 1, sum + words + words + 2))
}

/// A run's answer. A busy host says 503 and when to come again; that is no answer of a budget.
fn run(me: &Tenant, body: &Value) -> Value {
    loop {
        let reply = me.post("/api/v1/workflows/execute", body);
        match reply.status {
            200 | 402 => return reply.json,
            503 | 504 => {
                let seconds = reply.header("retry-after").parse().unwrap_or(1);
                std::thread::park_timeout(Duration::from_secs(seconds));
            }
            _ => panic!("{}", reply.text),
        }
    }
}

#[test]
fn two_hundred_runs_at_once_spend_no_more_than_the_budget_has() {
    let project = Project::new();
    let llm = StandIn::start().unwrap();
    let ready = ready_file();
    let mut host = Running::start(project.up(&ready));
    let told = wait_for(&ready, &mut host);
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let me = Tenant::new(&text("url"), text("user_id"), text("api_key"));
    let made = me.post(
        BUDGETS,
        &json!({"name": "team", "subject": "organization", "period": "month", "limit_tokens": LIMIT}),
    );
    assert_eq!(made.status, 201, "{}", made.text);
    let mut asks = definition(&llm.openai());
    asks["nodes"][1]["data"]["max_tokens"] = json!(16);
    let body = json!({"definition": asks, "inputs": {"q": "one two three"}});
    let ends: Vec<Value> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..200).map(|_| scope.spawn(|| run(&me, &body))).collect();
        let ends = threads.into_iter().map(|thread| thread.join().unwrap());
        ends.collect()
    });
    let mut succeeded = 0;
    for end in &ends {
        match end["status"].as_str() {
            Some("succeeded") => succeeded += 1,
            // Used up before it began.
            None => assert_eq!(end["status"], 402, "{end}"),
            _ => assert_eq!(end["error"]["kind"], "budget_exceeded", "{end}"),
        }
    }
    let (requests, tokens) = counted(&llm);
    assert!(tokens <= LIMIT, "{tokens} tokens in {requests} requests");
    assert!(
        requests >= succeeded && succeeded >= 3,
        "{requests} {succeeded}"
    );
    let path = format!("{BUDGETS}/{}", made.json["id"].as_str().unwrap());
    let now = me.get(&path).json;
    // A settlement that a busy database did not take leaves its reservation, which is more than the call did cost.
    let member = |name: &str| now[name].as_i64().unwrap();
    let (spent, reserved) = (member("spent_tokens"), member("reserved_tokens"));
    assert!(
        spent <= tokens && tokens <= spent + reserved,
        "{tokens} {now}"
    );
    assert!(spent + reserved <= LIMIT, "{now}");
    assert_eq!(now["version"], 1, "spending is no change of the budget");
}
