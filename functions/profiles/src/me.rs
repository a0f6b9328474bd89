//! `/api/v1/profiles/me`

use crate::Own;
use http::header;
use nodeai_app::{Caller, Command, IfMatch, Reply, Valid};
use nodeai_http::input::present;
use nodeai_http::reply::Json;
use nodeai_http::{Check, Checker, Problem, etag};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

/// A membership.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Membership {
    /// The organisation.
    id: String,
    /// Its name.
    name: String,
    /// Its short name.
    slug: Option<String>,
    /// `personal` or `team`.
    kind: String,
    /// `viewer`, `editor`, `admin` or `owner`.
    role: String,
}

/// A user.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    /// The user's id.
    id: String,
    /// As the sign-in service knows it.
    email: Option<String>,
    /// Name to show.
    display_name: Option<String>,
    /// Picture.
    avatar_url: Option<String>,
    /// The organisation that requests without `X-Organization-Id` act in.
    default_org_id: Option<String>,
    /// All organisations.
    organizations: Vec<Membership>,
    /// Version, for `If-Match`.
    version: i64,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

/// One's own profile.
pub async fn get(caller: Caller<Own>) -> Result<Json<Profile>, Problem> {
    let found: Option<Profile> = caller.call("profile_get", &json!({})).await?;
    let profile = found.ok_or_else(|| Problem::not_found("there is no such profile"))?;
    let tag = etag::of(profile.version);
    Ok(Json::ok(profile).header(header::ETAG, tag))
}

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfilePatch {
    /// At most 200 characters; null for none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    display_name: Option<Option<String>>,
    /// An `https:` URL of at most 2,000 characters; null for none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    avatar_url: Option<Option<String>>,
    /// One of one's organisations (UUID).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_org_id: Option<String>,
}

impl Check for ProfilePatch {
    fn check(&self, c: &mut Checker) {
        if let Some(Some(name)) = &self.display_name {
            c.length(name, 1, 200, "/display_name");
        }
        if let Some(Some(url)) = &self.avatar_url {
            let https = Url::parse(url).is_ok_and(|u| u.scheme() == "https" && u.has_host());
            let holds = https && url.len() <= 2_000;
            c.require(holds, "/avatar_url", "format", "must be an https: URL");
        }
        if let Some(id) = &self.default_org_id {
            let holds = nodeai_app::inputs::is_uuid(id);
            c.require(holds, "/default_org_id", "format", "must be a UUID");
        }
    }
}

/// Changes it.
pub async fn update(
    caller: Caller<Own>,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<ProfilePatch>,
) -> Result<Reply<Profile>, Problem> {
    let args = json!({"patch": patch, "expect_version": expected});
    let id = caller.session.user_id().to_owned();
    let command = Command::named("update_profile", "profile", &id, args)
        .audit("profile.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
