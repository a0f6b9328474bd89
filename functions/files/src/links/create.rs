//! `POST /api/v1/files/{id}/signed-url`

use crate::FilesWrite;
use nodeai_app::{Caller, Command, Created, PathId, Valid, clock};
use nodeai_files::link;
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Longest life of a link: 30 days.
const LONGEST_S: u32 = 30 * 86_400;

/// A link to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkInput {
    /// How long it opens, seconds: 1 to 2592000, an hour unless given.
    #[serde(default)]
    expires_in_s: Option<u32>,
    /// Whether the content is shown instead of saved, where its type allows it.
    #[serde(default)]
    inline: bool,
}

impl Check for LinkInput {
    fn check(&self, c: &mut Checker) {
        let fits = self
            .expires_in_s
            .is_none_or(|s| (1..=LONGEST_S).contains(&s));
        c.require(fits, "/expires_in_s", "range", "must be from 1 to 2592000");
    }
}

/// A link with its URL.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NewLink {
    /// Id (UUIDv7): with it the link is revoked.
    id: String,
    /// The file.
    file_id: String,
    /// Whether the content is shown instead of saved.
    inline: bool,
    /// When it ends, RFC 3339.
    expires_at: String,
    /// RFC 3339.
    created_at: String,
    /// Where it opens, below this API's origin: shown this once, by this answer and its repetitions.
    url: String,
}

/// Makes a link. Its token is signed and not stored: the database knows its hash.
pub async fn handle(
    caller: Caller<FilesWrite>,
    PathId(file_id): PathId,
    Valid(input): Valid<LinkInput>,
) -> Result<Created<NewLink>, Problem> {
    let keys = super::keys(&caller.cx)?;
    let key = keys
        .first()
        .ok_or_else(|| Problem::vault_not_configured("no master key"))?;
    let id = uuid::Uuid::now_v7();
    let lives_s = i64::from(input.expires_in_s.unwrap_or(3_600));
    let expires_s = clock::now_us() / 1_000_000 + lives_s;
    let token = link::write(key, *id.as_bytes(), u64::try_from(expires_s).unwrap_or(0));
    let id = id.to_string();
    let args = json!({"id": id, "file_id": file_id, "token_hash": link::token_hash(&token),
        "inline": input.inline, "expires_at": clock::rfc3339(expires_s * 1_000_000)});
    let location = format!("/api/v1/files/links/{id}");
    let command = Command::named("file_link_create", "file", &id, args)
        .audit("file_link.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}))
        .once("url", &format!("/api/v1/files/shared/{token}"));
    caller.write(command).await.map(Created::from)
}
