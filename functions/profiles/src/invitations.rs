//! `/api/v1/profiles/invitations`

use crate::me::Membership;
use crate::members::Role;
use crate::{Own, ProfilesRead, ProfilesWrite, email};
use nodeai_app::{Caller, Command, Created, Done, Op, PathId, Query, Reply, Valid, Write, clock};
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, reply::Json};
use nodeai_store::{Column, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

nodeai_store::columns! {
    /// Invitations.
    invitations {
        id: Uuid, email: Text, role: Text, expires_at: Time, accepted_at: Time, created_by: Uuid, created_at: Time,
    }
}
use invitations as col;

/// Starts every invitation's token, so that scanners and people can tell.
const PREFIX: &str = "nai_invite_";

const SHOWN: &[Column] = &[
    col::id,
    col::email,
    col::role,
    col::expires_at,
    col::accepted_at,
    col::created_by,
    col::created_at,
];

/// An invitation, without its token.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Invitation {
    /// Id (UUIDv7).
    id: String,
    /// For whom.
    email: String,
    /// As what.
    role: Role,
    /// Until when, RFC 3339.
    expires_at: String,
    /// When it was accepted.
    accepted_at: Option<String>,
    /// By whom it was made.
    created_by: Option<String>,
    /// RFC 3339.
    created_at: String,
}

/// An invitation that was just made.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct NewInvitation {
    /// What the invited one sends to `accept`: shown here and never again.
    token: String,
    /// Everything else about it.
    #[serde(flatten)]
    rest: Invitation,
}

/// Whom to invite.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationInput {
    /// An e-mail address; ASCII, an internationalised domain in its `xn--` form.
    email: String,
    /// `viewer` unless given; not `owner`.
    #[serde(default = "viewer")]
    role: Role,
    /// Seconds that it is open: 60 to 30 days, 7 days unless given.
    #[serde(default = "one_week")]
    expires_in_s: u32,
}

fn viewer() -> Role {
    Role::Viewer
}

fn one_week() -> u32 {
    7 * 86_400
}

impl Check for InvitationInput {
    fn check(&self, c: &mut Checker) {
        let detail = "must be an e-mail address in ASCII";
        c.require(
            email::tidy(&self.email).is_some(),
            "/email",
            "format",
            detail,
        );
        let detail = "an owner is made of a member, by another owner";
        let holds = !matches!(self.role, Role::Owner);
        c.require(holds, "/role", "not_allowed", detail);
        let holds = (60..=30 * 86_400).contains(&self.expires_in_s);
        c.require(
            holds,
            "/expires_in_s",
            "out_of_range",
            "60 to 2,592,000 seconds",
        );
    }
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

/// Newest first; for admins.
pub async fn list(
    caller: Caller<ProfilesRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Invitation>>, Problem> {
    let page = (query.limit, query.cursor);
    let select = Select::from(col::TABLE, SHOWN);
    caller
        .newest(select, col::id, page, |row: &Invitation| &row.id)
        .await
}

/// Makes an invitation. The token goes to the invited one by whatever way the caller has.
pub async fn create(
    caller: Caller<ProfilesWrite>,
    Valid(input): Valid<InvitationInput>,
) -> Result<Created<NewInvitation>, Problem> {
    let id = clock::new_id();
    let token = format!("{PREFIX}{}", clock::hex(&clock::random::<32>()));
    let until_us = caller.cx.started_us + i64::from(input.expires_in_s) * 1_000_000;
    let row = json!({"email": email::tidy(&input.email), "role": input.role, "token_hash": hash(&token),
        "expires_at": clock::rfc3339(until_us)});
    let location = format!("/api/v1/profiles/invitations/{id}");
    let write = Write::new(Op::Insert, col::TABLE, "invitation", &id)
        .row(row)
        .returning(SHOWN)
        .once("token", &token)
        .audit("invitation.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}

/// A token to join by.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptInput {
    /// As the invitation showed it.
    token: String,
}

impl Check for AcceptInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.token, 1, 200, "/token");
    }
}

/// Joins. The invitation must be for the caller's own address.
pub async fn accept(
    caller: Caller<Own>,
    Valid(input): Valid<AcceptInput>,
) -> Result<Reply<Membership>, Problem> {
    let args = json!({"token_hash": hash(&input.token), "request_id": caller.cx.trace.trace_id});
    let command =
        Command::named("accept_invitation", "invitation", "", args).answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// Takes an invitation back.
pub async fn remove(caller: Caller<ProfilesWrite>, PathId(id): PathId) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "invitation", &id)
        .audit("invitation.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}

fn hash(token: &str) -> String {
    clock::hex(&Sha256::digest(token.as_bytes()))
}
