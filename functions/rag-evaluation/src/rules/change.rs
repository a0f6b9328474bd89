//! `PATCH /api/v1/rag-evaluation/rules/{id}`, `DELETE /api/v1/rag-evaluation/rules/{id}`

use super::create::{Reading, TraceFilter, check_parts, pusd};
use super::model::{Rule, col};
use crate::{EvaluationsRun, EvaluationsWrite};
use nodeai_app::{Caller, Command, Done, IfMatch, Op, PathId, Reply, Valid, Write};
use nodeai_evaluation::judged::Judge;
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulePatch {
    /// 1 to 200 characters.
    #[serde(default)]
    name: Option<String>,
    /// Let it rest, or go on. What came meanwhile is not looked at.
    #[serde(default)]
    paused: Option<bool>,
    /// Which traces.
    #[serde(default)]
    filter: Option<TraceFilter>,
    /// The share of them, above 0 and at most 1.
    #[serde(default)]
    sample_rate: Option<f64>,
    /// What is measured and who judges, together.
    #[serde(default)]
    measure: Option<Measure>,
    /// What judging may cost in USD on a UTC day; null for as much as it does.
    #[serde(default, deserialize_with = "present")]
    budget_usd: Option<Option<f64>>,
    /// Seconds between two looks, 1 to 86,400.
    #[serde(default)]
    every_s: Option<u32>,
}

/// What is measured, and by whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// What is measured.
    reading: Reading,
    /// Who judges; judged metrics need it.
    #[serde(default)]
    judge: Option<Judge>,
}

impl Check for RulePatch {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        if let Some(measure) = &self.measure {
            let mut inner = Checker::default();
            measure.reading.check(&mut inner, measure.judge.as_ref());
            c.nest("/measure", inner);
        }
        let budget = self.budget_usd.flatten();
        let filter = self.filter.as_ref();
        check_parts(c, filter, self.sample_rate, budget, self.every_s);
    }
}

impl RulePatch {
    fn row(&self) -> Value {
        let mut row = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            row.extend(value.map(|value| (name.to_owned(), value)));
        };
        put("name", self.name.as_ref().map(|name| json!(name)));
        put("paused", self.paused.map(|paused| json!(paused)));
        put("filter", self.filter.as_ref().map(|filter| json!(filter)));
        put("sample_rate", self.sample_rate.map(|rate| json!(rate)));
        put("every_s", self.every_s.map(|every| json!(every)));
        put("budget_pusd", self.budget_usd.map(|usd| json!(pusd(usd))));
        if let Some(measure) = &self.measure {
            let settings = measure.reading.settings();
            let names: Vec<&str> = settings.metrics.iter().map(|spec| spec.name()).collect();
            put("metrics", Some(json!(names)));
            put("settings", Some(json!(settings)));
            put("judge", Some(json!(measure.judge)));
        }
        Value::Object(row)
    }
}

/// Changes a rule. Whoever changes its judge, or lets it go on, is who its judges run as.
pub async fn update(
    caller: Caller<EvaluationsRun>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<RulePatch>,
) -> Result<Reply<Rule>, Problem> {
    let args = json!({"id": id, "row": patch.row(), "expect_version": expected});
    let command = Command::named("rule_update", "rule", &id, args)
        .audit("evaluation_rule.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// Removes a rule. Its dataset, its evaluations and the scores of traces stay.
pub async fn remove(
    caller: Caller<EvaluationsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "rule", &id)
        .expect_version(expected)
        .audit("evaluation_rule.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
