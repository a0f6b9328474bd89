//! `POST /api/v1/workflows/{id}/merge`

use crate::WorkflowsWrite;
use crate::at::At;
use crate::document::{Egress, faults_below};
use crate::model::check_message;
use crate::save::{Save, members};
use http::StatusCode;
use nodeai_app::{Caller, IfMatch, PathId, Reply, Valid};
use nodeai_http::reply::json_response;
use nodeai_http::{Check, Checker, FieldError, Problem};
use nodeai_store::tables::workflows as col;
use nodeai_versions::{Conflict, Merged};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What to merge.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeInput {
    /// The version that both sides were made from.
    base: i64,
    /// The other side: a version's number, or a document that is not stored yet.
    theirs: Theirs,
    /// This side; the current version unless given.
    #[serde(default)]
    ours: Option<i64>,
    /// Store the result as a new version. Needs `If-Match`, and that nothing is left to decide.
    #[serde(default)]
    commit: bool,
    /// Note for the new version, at most 1,000 characters.
    #[serde(default)]
    message: Option<String>,
}

/// A side of a merge.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Theirs {
    /// A stored version.
    Version(i64),
    /// A document.
    Definition(Map<String, Value>),
}

impl Check for MergeInput {
    fn check(&self, c: &mut Checker) {
        check_message(c, self.message.as_deref());
        let theirs = match self.theirs {
            Theirs::Version(n) => Some(n),
            Theirs::Definition(_) => None,
        };
        for (number, at) in [
            (Some(self.base), "/base"),
            (theirs, "/theirs"),
            (self.ours, "/ours"),
        ] {
            let known = number.is_none_or(|n| (1..=i64::from(i32::MAX)).contains(&n));
            c.require(known, at, "out_of_range", "version numbers begin at 1");
        }
    }
}

/// The result.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MergeAnswer {
    /// Both sides in one; where there is a conflict it has what `ours` has.
    definition: Value,
    /// What a person must decide.
    conflicts: Vec<Conflict>,
    /// What keeps the result from running, such as a cycle that neither side has alone.
    faults: Vec<Value>,
    /// The new version, when it was stored.
    version: Option<i64>,
}

/// Brings two sides together; with `commit` the result becomes a new version.
pub async fn handle(
    caller: Caller<WorkflowsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<MergeInput>,
) -> Result<Reply<MergeAnswer>, Problem> {
    require_precondition(&caller, &input)?;
    let (ours, merged) = both(&caller, &id, &input).await?;
    let faults = faults_below("/definition", &merged.definition);
    if !input.commit {
        let answer = answer(merged, faults);
        return Ok(json_response(StatusCode::OK, Vec::new(), &answer).into());
    }
    require_clean(&merged, faults)?;
    let (egress, faults) = Egress::asked(&caller, &merged.definition).await;
    require_clean(&merged, faults)?;
    // What was merged must be what the client knows, and still be current when it is stored. No version is 0.
    let known = expected.is_none_or(|version| version == ours);
    let into = if known { ours } else { 0 };
    commit(&caller, &id, into, (merged.definition, egress), &input).await
}

/// The merge, and the version that is ours.
async fn both(
    caller: &Caller<WorkflowsWrite>,
    id: &str,
    input: &MergeInput,
) -> Result<(i64, Merged), Problem> {
    let stored = match &input.theirs {
        Theirs::Version(number) => *number,
        Theirs::Definition(_) => input.base,
    };
    let numbers = [Some(input.base), input.ours, Some(stored)];
    let found = At::read(caller, id, &numbers).await?;
    let base = found.version(Some(input.base))?;
    let ours = found.version(input.ours)?;
    let theirs = match &input.theirs {
        Theirs::Version(number) => found.version(Some(*number))?.definition.clone(),
        Theirs::Definition(definition) => Value::Object(definition.clone()),
    };
    let merged = nodeai_versions::merge(&base.definition, &ours.definition, &theirs);
    Ok((ours.number, merged))
}

/// Errors: 428 for a commit that does not say into which version.
fn require_precondition(
    caller: &Caller<WorkflowsWrite>,
    input: &MergeInput,
) -> Result<(), Problem> {
    if input.commit && caller.cx.header("if-match").is_none() {
        let detail = "send If-Match with the ETag of the version that you merge into, or * for any";
        return Err(Problem::precondition_required(detail));
    }
    Ok(())
}

fn answer(merged: Merged, faults: Vec<FieldError>) -> MergeAnswer {
    let faults = faults
        .into_iter()
        .filter_map(|fault| serde_json::to_value(fault).ok());
    MergeAnswer {
        definition: merged.definition,
        conflicts: merged.conflicts,
        faults: faults.collect(),
        version: None,
    }
}

/// Errors: 409 with all that is left to decide.
fn require_clean(merged: &Merged, faults: Vec<FieldError>) -> Result<(), Problem> {
    let told = |c: &Conflict| FieldError::body(c.place(), c.kind.code(), c.kind.text());
    let mut errors: Vec<FieldError> = merged.conflicts.iter().map(told).collect();
    errors.extend(faults);
    if errors.is_empty() {
        return Ok(());
    }
    let mut problem = Problem::conflict(format!(
        "{} places of the merge must be decided; nothing was stored",
        errors.len()
    ));
    problem.errors = errors;
    Err(problem)
}

async fn commit(
    caller: &Caller<WorkflowsWrite>,
    id: &str,
    into: i64,
    (definition, egress): (Value, Egress),
    input: &MergeInput,
) -> Result<Reply<MergeAnswer>, Problem> {
    let with = match &input.theirs {
        Theirs::Version(number) => format!("version {number}"),
        Theirs::Definition(_) => format!("a change of version {}", input.base),
    };
    let message = input
        .message
        .clone()
        .unwrap_or_else(|| format!("Merged {with}"));
    let save = Save {
        id,
        expected: Some(into),
        message: Some(&message),
        egress: Some(&egress),
        returning: &[col::definition, col::version],
    };
    let command = save
        .command(caller, members(json!({"definition": definition})))
        .audit("workflow.merged", json!({"base": input.base, "with": with}))
        .answer(200, &[], &json!({"conflicts": [], "faults": []}));
    caller.write(command).await.map(Reply::from)
}
