//! `PUT /api/v1/knowledge-base/{id}/documents`

use crate::{KnowledgeWrite, rules, work};
use nodeai_app::{Caller, Command, PathId, Reply, Valid, clock};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Most documents of a request.
const MOST: usize = 500;
/// Most keys of documents that stay.
const MOST_KEPT: usize = 50_000;

/// A document as its source has it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncedInput {
    /// By what the source knows it, such as its URL there: 1 to 2,000 characters, once in a request.
    key: String,
    /// Its text.
    text: String,
    /// 1 to 1,000 characters; the key unless given.
    #[serde(default)]
    title: Option<String>,
    /// `text/markdown` and the like.
    #[serde(default)]
    content_type: Option<String>,
    /// Whatever belongs to it; searches filter by it. At most 16 KiB.
    #[serde(default)]
    metadata: Map<String, Value>,
    /// Labels of those that may find it, such as `group:sales` or a user of yours, 1 to 100; everybody unless given. A search says whom it is for.
    #[serde(default)]
    access: Option<Vec<String>>,
}

/// What a source has.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncInput {
    /// What the source is called, such as `notion`: 1 to 100 characters. Keys are its own.
    connector: String,
    /// At most 500.
    documents: Vec<SyncedInput>,
    /// Whether that is all that the source has: other documents of this connector are removed.
    #[serde(default)]
    complete: bool,
    /// With `complete`, the keys of documents that other requests have brought and that are to stay: at most 50,000. So a source of more
    /// than 500 documents is sent in several requests, the last of which says what there is.
    #[serde(default)]
    keep: Vec<String>,
}

/// What became of a document.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Synced {
    /// By what the source knows it.
    key: String,
    /// Its id here.
    id: String,
    /// `added`, `changed` or `unchanged`.
    outcome: String,
}

/// What became of all of them.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SyncedAll {
    /// Each document of the request, in its order.
    documents: Vec<Synced>,
    /// New ones.
    added: i64,
    /// Those of which text, title or metadata are others now.
    changed: i64,
    /// Those that are as they were.
    unchanged: i64,
    /// Those that the source does not have any more.
    removed: i64,
}

impl Check for SyncInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.connector, 1, 100, "/connector");
        let few = self.documents.len() <= MOST;
        c.require(few, "/documents", "length", "at most 500 documents");
        let few = self.keep.len() <= MOST_KEPT;
        c.require(few, "/keep", "length", "at most 50000 keys");
        let fits = self.complete || self.keep.is_empty();
        let detail = "goes with complete only";
        c.require(fits, "/keep", "conflict", detail);
        let mut keys = BTreeSet::new();
        for (i, document) in self.documents.iter().enumerate() {
            let at = format!("/documents/{i}");
            c.length(&document.key, 1, 2_000, &format!("{at}/key"));
            let new = keys.insert(&document.key);
            let detail = "another document of the request has it";
            c.require(new, &format!("{at}/key"), "duplicate", detail);
            rules::content(c, &document.text, &format!("{at}/text"));
            if let Some(title) = &document.title {
                c.length(title, 1, 1_000, &format!("{at}/title"));
            }
            if let Some(kind) = &document.content_type {
                c.length(kind, 1, 200, &format!("{at}/content_type"));
            }
            rules::metadata(c, &document.metadata, &format!("{at}/metadata"));
            rules::access(c, document.access.as_ref(), false, &format!("{at}/access"));
        }
    }
}

fn row(document: SyncedInput) -> Value {
    let text = rules::storable(document.text);
    let key = rules::storable(document.key);
    let title = document.title.map(rules::storable);
    let title = title.unwrap_or_else(|| key.chars().take(1_000).collect());
    json!({"id": clock::new_id(), "title": title, "source_uri": key, "content_type": document.content_type,
        "content_hash": rules::hash(&text), "content": text, "metadata": document.metadata, "access": document.access})
}

/// Brings documents of a source up to date: new ones are added, those that have changed are indexed again (chunks that stay the same are not
/// embedded again), and with `complete` those that are gone are removed. The same request again changes nothing.
pub async fn handle(
    caller: Caller<KnowledgeWrite>,
    PathId(id): PathId,
    Valid(input): Valid<SyncInput>,
) -> Result<Reply<SyncedAll>, Problem> {
    let rows: Vec<Value> = input.documents.into_iter().map(row).collect();
    let keep: Vec<String> = input.keep.into_iter().map(rules::storable).collect();
    let args = json!({"knowledge_base_id": id, "connector": rules::storable(input.connector), "documents": rows,
        "complete": input.complete, "keep": keep});
    let command = Command::named("knowledge_sync", "knowledge base", &id, args)
        .audit("knowledge_base.synchronised", json!({}))
        .answer(200, &[], &json!({}));
    let reply = caller.write(command).await?;
    work::kick(&caller.cx, caller.org_id());
    Ok(Reply::from(reply))
}
