//! `/api/v1/profiles/members`

use crate::{ProfilesRead, ProfilesWrite};
use nodeai_app::{Caller, Done, IfMatch, Op, PathId, Query, Reply, Valid, Write};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Check, Checker, Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

nodeai_store::columns! {
    /// Members of organisations.
    organization_members {
        id: Uuid, user_id: Uuid, role: Text, version: Int, created_at: Time,
    }
}
use organization_members as col;

/// A role, from least to most.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, writes and runs.
    Editor,
    /// Everything but the owners.
    Admin,
    /// Everything.
    Owner,
}

/// A member.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Id of the membership (UUIDv7).
    id: String,
    /// The user.
    user_id: String,
    /// The role.
    role: Role,
    /// E-mail address; in a list only.
    #[serde(default)]
    email: Option<String>,
    /// Name to show; in a list only.
    #[serde(default)]
    display_name: Option<String>,
    /// Picture; in a list only.
    #[serde(default)]
    avatar_url: Option<String>,
    /// Version, for `If-Match`.
    version: i64,
    /// RFC 3339.
    created_at: String,
}

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Oldest first.
pub async fn list(
    caller: Caller<ProfilesRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Member>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let args = json!({"org_id": caller.org_id(), "after": after.map(|k| k.id), "limit": limit + 1});
    let rows: Vec<Member> = caller.call("members_list", &args).await?;
    let position = |row: &Member| Keyset {
        at: String::new(),
        id: row.id.clone(),
    };
    Ok(Json::ok(Page::cut(rows, limit, position)))
}

/// A role to give.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberPatch {
    /// At most one's own.
    role: Role,
}

impl Check for MemberPatch {
    fn check(&self, _: &mut Checker) {}
}

/// Changes a role. Nobody gives or takes more than they have, and the last owner stays.
pub async fn update(
    caller: Caller<ProfilesWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<MemberPatch>,
) -> Result<Reply<Member>, Problem> {
    let shown = &[
        col::id,
        col::user_id,
        col::role,
        col::version,
        col::created_at,
    ];
    let write = Write::new(Op::Update, col::TABLE, "member", &id)
        .row(json!({"role": patch.role}))
        .expect_version(expected)
        .returning(shown)
        .audit("member.role_changed", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}

/// Removes a member: the next request of theirs here is refused, with a key too.
pub async fn remove(
    caller: Caller<ProfilesWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "member", &id)
        .expect_version(expected)
        .audit("member.removed", json!({}));
    caller.write(write).await.map(Done::from)
}
