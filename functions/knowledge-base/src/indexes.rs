//! Indexes of a knowledge base: another one beside the active, the switch, the way back.

use crate::{KnowledgeWrite, rules};
use nodeai_app::{Caller, Command, Done, PathId, Reply, Valid};
use nodeai_http::{Check, Checker, Problem};
use nodeai_knowledge::settings::Settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the next index is built with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RebuildInput {
    /// All settings of the index; `search` stays as the base has it.
    settings: Settings,
}

impl Check for RebuildInput {
    fn check(&self, c: &mut Checker) {
        rules::report(c, self.settings.faults("/settings"));
    }
}

/// An index.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Changed {
    /// Its number.
    number: i64,
    /// `building`, `ready`, `active` or `retired`.
    status: String,
}

/// Builds another index beside the active one. Documents that come in or change meanwhile go into both. Searches go over to
/// it when it is complete; with documents that failed it waits for `activate`. The one before is kept, and kept up to date, so
/// that `activate` leads back to it, until it is dropped. At most three.
pub async fn rebuild(
    caller: Caller<KnowledgeWrite>,
    PathId(id): PathId,
    Valid(input): Valid<RebuildInput>,
) -> Result<Reply<Changed, 202>, Problem> {
    let location = format!("/api/v1/knowledge-base/{id}");
    let args = json!({"do": "rebuild", "id": id, "settings": input.settings.stored()});
    let command = Command::named("knowledge_index", "knowledge base", &id, args)
        .audit("knowledge_base.rebuilt", json!({}))
        .answer(202, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// Switches to an index in which no document waits.
pub async fn activate(
    caller: Caller<KnowledgeWrite>,
    PathId(id): PathId,
) -> Result<Reply<Changed>, Problem> {
    let command = change(&caller, &id, "activate")?
        .audit("knowledge_base.index_activated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// Drops an index that is not active, with its chunks.
pub async fn remove(caller: Caller<KnowledgeWrite>, PathId(id): PathId) -> Result<Done, Problem> {
    let command = change(&caller, &id, "drop")?.audit("knowledge_base.index_dropped", json!({}));
    caller.write(command).await.map(Done::from)
}

fn change(caller: &Caller<KnowledgeWrite>, id: &str, what: &str) -> Result<Command, Problem> {
    let number = caller.cx.parameter("number").unwrap_or_default();
    let number: i32 = number
        .parse()
        .map_err(|_| Problem::not_found("there is no such index"))?;
    let args: Value = json!({"do": what, "id": id, "number": number});
    Ok(Command::named("knowledge_index", "index", id, args))
}
