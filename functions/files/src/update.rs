//! `PATCH /api/v1/files/{id}`

use crate::model::{File, SHOWN, files as col};
use crate::{FilesWrite, rules};
use nodeai_app::write::Op;
use nodeai_app::{Caller, IfMatch, PathId, Reply, Valid, Write};
use nodeai_files::name;
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, FieldError, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilePatch {
    /// 1 to 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Folder; null for none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    folder: Option<Option<String>>,
    /// Tags, in place of those before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    /// Metadata, in place of those before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
}

impl Check for FilePatch {
    fn check(&self, c: &mut Checker) {
        if let Some(Err(why)) = self.name.as_deref().map(name::checked) {
            c.report(FieldError::body("/name", "invalid", why.to_string()));
        }
        if let Some(Some(Err(why))) = self.folder.as_ref().map(|f| f.as_deref().map(name::folder)) {
            c.report(FieldError::body("/folder", "invalid", why.to_string()));
        }
        rules::check_tags(c, self.tags.as_deref().unwrap_or_default());
        if let Some(metadata) = &self.metadata {
            rules::check_metadata(c, metadata);
        }
    }
}

impl FilePatch {
    /// As it is stored: names mended.
    fn row(self) -> Value {
        let cleaned = Self {
            name: self.name.and_then(|name| name::checked(&name).ok()),
            folder: self
                .folder
                .map(|folder| folder.and_then(|path| name::folder(&path).ok().flatten())),
            ..self
        };
        json!(cleaned)
    }
}

/// Changes what is known of a file; its content never changes.
pub async fn handle(
    caller: Caller<FilesWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<FilePatch>,
) -> Result<Reply<File>, Problem> {
    let write = Write::new(Op::Update, col::TABLE, "file", &id)
        .expect_version(expected)
        .row(patch.row())
        .returning(SHOWN)
        .audit("file.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}
