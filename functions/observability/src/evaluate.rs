//! `POST /api/v1/observability/evaluate`

use crate::AlertsRun;
use nodeai_app::{Caller, Command, Cx, Drainer, Reply, store_problem};
use nodeai_http::{IntoReply, Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Organisations of one statement: what it locks, it locks briefly.
const STEP: i64 = 20;
/// Takes up nothing more after so many µs.
const BUDGET_US: i64 = 15_000_000;

/// What asking the rules has brought.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Evaluated {
    /// Rules that were asked: of an organisation the first 500 that are on.
    evaluated: i64,
    /// Alerts that were opened. Left empty for the operator's schedule, to whom they do not belong.
    opened: Vec<Opened>,
    /// Alerts that were open and still are.
    still_open: i64,
    /// Alerts whose rules fire no more.
    resolved: i64,
    /// Organisations whose rules were asked; only for the operator's schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    organizations: Option<i64>,
}

/// An alert that was opened.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Opened {
    /// Its id.
    id: String,
    /// The rule.
    rule_id: String,
    /// The rule's name.
    name: String,
    /// The rule's kind.
    kind: String,
    /// What was measured.
    details: Value,
}

#[derive(Deserialize)]
struct Step {
    organizations: i64,
    evaluated: i64,
    still_open: i64,
    resolved: i64,
}

/// Asks every rule of the organisation; for the operator's schedule, of each organisation that has one which nobody has
/// asked for a minute.
pub async fn handle(drainer: Drainer<AlertsRun>) -> Result<Reply<Evaluated>, Problem> {
    match &drainer {
        Drainer::Caller(caller) => own(caller).await,
        Drainer::Operator(cx) => {
            let everybodys = everybodys(cx).await?;
            Ok(Reply::from(Json::ok(everybodys).into_reply()))
        }
    }
}

async fn own(caller: &Caller<AlertsRun>) -> Result<Reply<Evaluated>, Problem> {
    let org_id = caller.org_id().to_owned();
    let command = Command::named("alerts_evaluate", "alert rules", &org_id, json!({})).answer(
        200,
        &[],
        &json!({}),
    );
    caller.write(command).await.map(Reply::from)
}

async fn everybodys(cx: &Cx) -> Result<Evaluated, Problem> {
    let store = cx.store()?;
    let mut sum = Evaluated::default();
    let mut organizations = 0;
    loop {
        let args = json!({"most": STEP});
        let step: Result<Step, _> = store.call_service("alerts_evaluate_due", &args).await;
        let step = step.map_err(store_problem)?;
        organizations += step.organizations;
        sum.evaluated += step.evaluated;
        sum.still_open += step.still_open;
        sum.resolved += step.resolved;
        if step.organizations < STEP || cx.elapsed_us() > BUDGET_US {
            sum.organizations = Some(organizations);
            return Ok(sum);
        }
    }
}
