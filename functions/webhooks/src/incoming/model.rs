//! Incoming webhooks as the API shows them.

use nodeai_store::Column;
use nodeai_webhook::inbound::Scheme;
use nodeai_webhook::inbound::delivery::IdFrom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

nodeai_store::columns! {
    /// Webhooks of both directions.
    webhooks {
        id: Uuid, direction: Text, name: Text, workflow_id: Uuid, workflow_version: Int, deployment_id: Uuid, path: Text,
        pattern: Text, methods: TextArray, verification: Json, answer_mode: Text, delivery_id_from: Json,
        dedupe_window_s: Int, rate_per_minute: Int, listen: Bool, owner_id: Uuid, owner_key_id: Uuid,
        previous_secret_until: Time, disabled_at: Time, disabled_reason: Text, version: Int, created_at: Time,
        updated_at: Time,
    }
}

use webhooks as col;

/// What is read of an incoming webhook.
pub const READ: &[Column] = &[
    col::id,
    col::name,
    col::workflow_id,
    col::workflow_version,
    col::deployment_id,
    col::path,
    col::pattern,
    col::methods,
    col::verification,
    col::answer_mode,
    col::delivery_id_from,
    col::dedupe_window_s,
    col::rate_per_minute,
    col::listen,
    col::owner_id,
    col::owner_key_id,
    col::previous_secret_until,
    col::disabled_at,
    col::disabled_reason,
    col::version,
    col::created_at,
    col::updated_at,
];

/// How a request is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerMode {
    /// 202 at once, with the execution; the run is in the queue.
    #[default]
    Accepted,
    /// 200 with the run's result at its end; 202 when that takes too long.
    AtEnd,
    /// With what a `respond` node of the run gives: status, header fields, body.
    Respond,
    /// Server-sent events of the run, from its log.
    Streamed,
}

/// A path that starts runs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Incoming {
    /// Id (UUIDv7).
    pub id: String,
    /// Where requests go, below the application's own URL: `/hooks/`, a part that nobody guesses, and `pattern`.
    pub url: String,
    /// Name.
    pub name: String,
    /// The workflow that runs.
    pub workflow_id: Option<String>,
    /// Its version; the current one when null.
    pub workflow_version: Option<i64>,
    /// The deployment that runs, in place of a workflow.
    pub deployment_id: Option<String>,
    /// What follows in the path, such as `orders/{id}`.
    pub pattern: String,
    /// Methods that it takes.
    pub methods: Vec<String>,
    /// How senders are verified.
    pub verification: Scheme,
    /// What is to be known of that: with `none`, that whoever knows the URL starts runs.
    pub warning: Option<String>,
    /// How a request is answered.
    pub answer_mode: AnswerMode,
    /// Where a delivery's id is; null for where the scheme has it.
    pub delivery_id_from: Option<IdFrom>,
    /// How long the same delivery is known, seconds.
    pub dedupe_window_s: i64,
    /// Requests per minute; more are answered 429.
    pub rate_per_minute: i64,
    /// Whether requests are only verified and kept, and start nothing.
    pub listen: bool,
    /// The user as whom runs act: who said last what runs, or turned it on last.
    pub owner_id: Option<String>,
    /// The API key that they did it with: its scopes bound what runs may do, and with it the webhook ends.
    pub owner_key_id: Option<String>,
    /// Until when the secret before is taken too, RFC 3339; null when it was never rotated.
    pub previous_secret_until: Option<String>,
    /// Since when it is off, RFC 3339; null while it is on.
    pub disabled_at: Option<String>,
    /// Why it is off.
    pub disabled_reason: Option<String>,
    /// Version, for `If-Match`.
    pub version: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// A row of the store.
#[derive(Debug, Deserialize)]
pub struct Row {
    pub id: String,
    pub name: String,
    pub workflow_id: Option<String>,
    pub workflow_version: Option<i64>,
    pub deployment_id: Option<String>,
    pub path: String,
    pub pattern: String,
    pub methods: Vec<String>,
    pub verification: Scheme,
    pub answer_mode: AnswerMode,
    pub delivery_id_from: Option<IdFrom>,
    pub dedupe_window_s: i64,
    pub rate_per_minute: i64,
    pub listen: bool,
    pub owner_id: Option<String>,
    pub owner_key_id: Option<String>,
    pub previous_secret_until: Option<String>,
    pub disabled_at: Option<String>,
    pub disabled_reason: Option<String>,
    pub version: i64,
    pub created_at: String,
    pub updated_at: String,
}

impl From<Row> for Incoming {
    fn from(row: Row) -> Self {
        // As `nodeai.incoming_shown` has it.
        let open = matches!(row.verification, Scheme::None {});
        let warning = "nothing is verified: whoever knows the URL starts runs";
        let below = match row.pattern.as_str() {
            "" => String::new(),
            pattern => format!("/{pattern}"),
        };
        Self {
            url: format!("/hooks/{}{below}", row.path),
            warning: open.then(|| warning.to_owned()),
            id: row.id,
            name: row.name,
            workflow_id: row.workflow_id,
            workflow_version: row.workflow_version,
            deployment_id: row.deployment_id,
            pattern: row.pattern,
            methods: row.methods,
            verification: row.verification,
            answer_mode: row.answer_mode,
            delivery_id_from: row.delivery_id_from,
            dedupe_window_s: row.dedupe_window_s,
            rate_per_minute: row.rate_per_minute,
            listen: row.listen,
            owner_id: row.owner_id,
            owner_key_id: row.owner_key_id,
            previous_secret_until: row.previous_secret_until,
            disabled_at: row.disabled_at,
            disabled_reason: row.disabled_reason,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// An incoming webhook, with its secret when that was drawn by this request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WithSecret {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Incoming,
    /// What the sender signs or authenticates with: shown this once, by this answer and its repetitions. Absent when it was
    /// given, or there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}
