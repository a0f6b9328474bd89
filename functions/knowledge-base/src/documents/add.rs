//! `POST /api/v1/knowledge-base/{id}/documents`

use super::files;
use crate::{KnowledgeWrite, rules, work};
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Command, PathId, Reply, Valid, clock};
use nodeai_guard::UrlGuard;
use nodeai_http::{Check, Checker, FieldError, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

/// Most documents of a request, and files among them: each is read while the caller waits.
const MOST: usize = 100;
const MOST_FILES: usize = 10;

/// A document to be added: exactly one of `text`, `file_id`, `url` and `sitemap`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentInput {
    /// 1 to 1,000 characters; the URL, or `Untitled`, unless given.
    #[serde(default)]
    title: Option<String>,
    /// Its text.
    #[serde(default)]
    text: Option<String>,
    /// `text/markdown` and the like.
    #[serde(default)]
    content_type: Option<String>,
    /// A file of the files area; its text is taken now.
    #[serde(default)]
    file_id: Option<String>,
    /// A page or document in the Web; it is fetched later.
    #[serde(default)]
    url: Option<String>,
    /// A sitemap; its pages become documents later.
    #[serde(default)]
    sitemap: Option<String>,
    /// Whatever belongs to it; searches filter by it. At most 16 KiB.
    #[serde(default)]
    metadata: Map<String, Value>,
    /// Labels of those that may find it, such as `group:sales` or a user of yours, 1 to 100; everybody unless given. A search says whom it is for.
    #[serde(default)]
    access: Option<Vec<String>>,
}

/// Documents to be added.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddInput {
    /// 1 to 100; at most 10 files.
    documents: Vec<DocumentInput>,
    /// Leaves out what the base has already.
    #[serde(default)]
    skip_duplicates: bool,
}

impl Check for AddInput {
    fn check(&self, c: &mut Checker) {
        let some = (1..=MOST).contains(&self.documents.len());
        c.require(some, "/documents", "length", "1 to 100 documents");
        let files = self.documents.iter().filter(|d| d.file_id.is_some());
        let few = files.count() <= MOST_FILES;
        c.require(
            few,
            "/documents",
            "too_many",
            "at most 10 files in one request",
        );
        for (i, document) in self.documents.iter().enumerate() {
            document.check(c, &format!("/documents/{i}"));
        }
    }
}

impl DocumentInput {
    fn check(&self, c: &mut Checker, at: &str) {
        let sources = [&self.text, &self.file_id, &self.url, &self.sitemap];
        let one = sources.iter().filter(|source| source.is_some()).count() == 1;
        c.require(
            one,
            at,
            "one_of",
            "give exactly one of text, file_id, url and sitemap",
        );
        if let Some(title) = &self.title {
            c.length(title, 1, 1_000, &format!("{at}/title"));
        }
        if let Some(text) = &self.text {
            rules::content(c, text, &format!("{at}/text"));
        }
        if let Some(kind) = &self.content_type {
            c.length(kind, 1, 200, &format!("{at}/content_type"));
        }
        if let Some(id) = &self.file_id {
            c.require(
                is_uuid(id),
                &format!("{at}/file_id"),
                "format",
                "must be a UUID",
            );
        }
        rules::metadata(c, &self.metadata, &format!("{at}/metadata"));
        rules::access(c, self.access.as_ref(), false, &format!("{at}/access"));
    }

    /// Its URL with the field's name, for one that has such.
    fn address(&self) -> Option<(&'static str, &str)> {
        let url = self.url.as_deref().map(|url| ("url", url));
        url.or_else(|| self.sitemap.as_deref().map(|url| ("sitemap", url)))
    }
}

/// What was added.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Added {
    /// Each document of the request, in its order.
    documents: Vec<AddedOne>,
}

/// A document that was added, or left out.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AddedOne {
    /// Its id; null when it was left out.
    id: Option<String>,
    /// Title.
    title: String,
    /// A document of the base with the same content.
    duplicate_of: Option<String>,
}

/// Adds documents. They are cut and indexed after the answer, and by whoever drains: their `status` says how far they are.
pub async fn handle(
    caller: Caller<KnowledgeWrite>,
    PathId(id): PathId,
    Valid(input): Valid<AddInput>,
) -> Result<Reply<Added, 202>, Problem> {
    let guard = UrlGuard::configured(&**caller.cx.env()).await;
    refuse_urls(&guard, &input.documents)?;
    let mut rows = Vec::with_capacity(input.documents.len());
    for (i, document) in input.documents.into_iter().enumerate() {
        rows.push(row(&caller, document, &format!("/documents/{i}")).await?);
    }
    let location = format!("/api/v1/knowledge-base/{id}/documents");
    let args = json!({"knowledge_base_id": id, "documents": rows, "skip_duplicates": input.skip_duplicates});
    let command = Command::named("knowledge_add", "knowledge base", &id, args)
        .audit("knowledge_base.documents_added", json!({}))
        .answer(202, &[("location", &location)], &json!({}));
    let reply = caller.write(command).await?;
    work::kick(&caller.cx, caller.org_id());
    Ok(Reply::from(reply))
}

fn refuse_urls(guard: &UrlGuard, documents: &[DocumentInput]) -> Result<(), Problem> {
    let mut wrong = Vec::new();
    for (i, document) in documents.iter().enumerate() {
        let Some((field, text)) = document.address() else {
            continue;
        };
        let refused = match Url::parse(text) {
            Ok(_) if text.len() > 2_048 => Some("at most 2048 bytes".to_owned()),
            Ok(url) => guard.check(&url).err().map(|refused| refused.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = refused {
            wrong.push(FieldError::body(
                format!("/documents/{i}/{field}"),
                "url",
                why,
            ));
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Problem::fields(wrong)),
    }
}

async fn row(
    caller: &Caller<KnowledgeWrite>,
    document: DocumentInput,
    at: &str,
) -> Result<Value, Problem> {
    let address = document.address().map(|(kind, url)| (kind, url.to_owned()));
    let mut content_type = document.content_type;
    let (kind, uri, text) = match (document.text, &document.file_id, address) {
        (Some(text), ..) => ("text", None, Some(text)),
        (None, Some(file_id), _) => {
            caller.session.release();
            let file = files::text(caller, file_id, &format!("{at}/file_id")).await?;
            content_type = content_type.or_else(|| media_type(&file.format));
            if file.text.trim().is_empty() {
                let error =
                    FieldError::body(format!("{at}/file_id"), "empty", "the file has no text");
                return Err(Problem::fields(vec![error]));
            }
            ("upload", None, Some(file.text))
        }
        (None, None, Some((kind, url))) => (kind, Some(url), None),
        (None, None, None) => return Err(Problem::internal("a document without a source")),
    };
    let text = text.map(rules::storable);
    let title = document
        .title
        .or_else(|| uri.clone().map(|uri| uri.chars().take(1_000).collect()));
    Ok(
        json!({"id": clock::new_id(), "title": title.unwrap_or_else(|| "Untitled".to_owned()), "source_kind": kind,
        "source_uri": uri, "file_id": document.file_id, "content_type": content_type,
        "content_hash": text.as_deref().map(rules::hash), "content": text, "metadata": document.metadata, "access": document.access}),
    )
}

/// What a file's text is: Markdown stays Markdown.
fn media_type(format: &str) -> Option<String> {
    let kind = match format {
        "markdown" => "text/markdown",
        _ => "text/plain",
    };
    Some(kind.to_owned())
}
