//! Changes of one document: title and metadata, content, another try, its source once more, its end.

use super::{Document, files};
use crate::{KnowledgeWrite, rules, work};
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Command, Done, IfMatch, PathId, Reply, Valid};
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, FieldError, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentPatch {
    /// 1 to 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// All of it from now on; at most 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
    /// Labels of those that may find it, 1 to 100; null for everybody.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    access: Option<Option<Vec<String>>>,
}

impl Check for DocumentPatch {
    fn check(&self, c: &mut Checker) {
        if let Some(title) = &self.title {
            c.length(title, 1, 1_000, "/title");
        }
        if let Some(metadata) = &self.metadata {
            rules::metadata(c, metadata, "/metadata");
        }
        let labels = self.access.as_ref().and_then(Option::as_ref);
        rules::access(c, labels, false, "/access");
    }
}

/// What a document says from now on: exactly one of `text` and `file_id`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentInput {
    /// The text.
    #[serde(default)]
    text: Option<String>,
    /// A file of the files area; its text is taken now.
    #[serde(default)]
    file_id: Option<String>,
    /// `text/markdown` and the like.
    #[serde(default)]
    content_type: Option<String>,
}

impl Check for ContentInput {
    fn check(&self, c: &mut Checker) {
        let one = self.text.is_some() != self.file_id.is_some();
        c.require(one, "/text", "one_of", "give either text or file_id");
        if let Some(text) = &self.text {
            rules::content(c, text, "/text");
        }
        if let Some(id) = &self.file_id {
            c.require(is_uuid(id), "/file_id", "format", "must be a UUID");
        }
    }
}

type Changed = Result<Reply<Document>, Problem>;

/// Changes title or metadata. Searches go by them at once.
pub async fn update(
    caller: Caller<KnowledgeWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<DocumentPatch>,
) -> Changed {
    let more = json!({"row": patch});
    let command = command(&caller, &id, "update", expected, more)?
        .audit("document.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// Replaces the content. Searches find the old one until the new one is ready; chunks that stay the same are not embedded
/// again.
pub async fn content(
    caller: Caller<KnowledgeWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<ContentInput>,
) -> Changed {
    let text = match (input.text, input.file_id) {
        (Some(text), _) => text,
        (None, file_id) => {
            caller.session.release();
            let file_id = file_id.unwrap_or_default();
            let file = files::text(&caller, &file_id, "/file_id").await?;
            if file.text.trim().is_empty() {
                let error = FieldError::body("/file_id", "empty", "the file has no text");
                return Err(Problem::fields(vec![error]));
            }
            file.text
        }
    };
    let text = rules::storable(text);
    let more = json!({"content_hash": rules::hash(&text), "content": text, "content_type": input.content_type});
    let command = command(&caller, &id, "content", expected, more)?
        .audit("document.replaced", json!({}))
        .answer(200, &[], &json!({}));
    again(caller, command).await
}

/// Tries again what failed, as whoever asks now.
pub async fn retry(caller: Caller<KnowledgeWrite>, PathId(id): PathId) -> Changed {
    let command = command(&caller, &id, "retry", None, json!({}))?
        .audit("document.retried", json!({}))
        .answer(200, &[], &json!({}));
    again(caller, command).await
}

/// Asks the source of a document once more: what has changed there is indexed, a sitemap's new pages are added.
pub async fn refresh(caller: Caller<KnowledgeWrite>, PathId(id): PathId) -> Changed {
    let command = command(&caller, &id, "refresh", None, json!({}))?
        .audit("document.refreshed", json!({}))
        .answer(200, &[], &json!({}));
    again(caller, command).await
}

/// Removes a document with its chunks, in all indexes.
pub async fn remove(
    caller: Caller<KnowledgeWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let command =
        command(&caller, &id, "remove", expected, json!({}))?.audit("document.deleted", json!({}));
    caller.write(command).await.map(Done::from)
}

async fn again(caller: Caller<KnowledgeWrite>, command: Command) -> Changed {
    let reply = caller.write(command).await?;
    work::kick(&caller.cx, caller.org_id());
    Ok(Reply::from(reply))
}

fn command(
    caller: &Caller<KnowledgeWrite>,
    id: &str,
    what: &str,
    expected: Option<i64>,
    more: Value,
) -> Result<Command, Problem> {
    let document_id = rules::path_uuid(&caller.cx, "document_id", "document")?;
    let mut args =
        json!({"do": what, "id": document_id, "knowledge_base_id": id, "expect_version": expected});
    if let (Some(args), Value::Object(more)) = (args.as_object_mut(), more) {
        args.extend(more);
    }
    Ok(Command::named(
        "knowledge_document",
        "document",
        &document_id,
        args,
    ))
}
