//! `postgres`: one statement against a database of the user's own.

mod placeholders;

use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{Call, Effect, Outcome, Spec, port};
use crate::log::{CallMeta, NodeError};

/// Most rows of one answer.
const MOST_ROWS: usize = 10_000;
/// What of a connection URL's query goes on to the driver; other settings could lead it to another server.
const SETTINGS: [&str; 2] = ["sslmode", "channel_binding"];

pub(super) fn spec() -> Spec {
    Spec {
        kind: "postgres".into(),
        title: "Postgres query".into(),
        description: "Runs one statement in a Postgres database of your own and gives its rows. Values go into params, never into the SQL. Only hosts that the operator has listed in nodeai_postgres_hosts are reached.".into(),
        category: "network".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["url", "sql"],
            "properties": {
                "url": {"type": "string", "minLength": 1, "description": "postgres://user:password@host:port/database, usually {{ secrets.DATABASE_URL }}"},
                "sql": {"type": "string", "minLength": 1, "maxLength": 100_000, "x-nodeai": "literal",
                    "description": "One statement, with $1, $2, … where values go. A text's place may need a cast, such as $1::uuid"},
                "params": {"type": "array", "maxItems": 100, "items": {}, "description": "The values of $1, $2, …: a number, text, true, false, null; an object or list goes as jsonb"},
                "rows": {"type": "boolean", "default": true, "description": "false for a statement that gives no rows, such as UPDATE without RETURNING"},
                "max_rows": {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": 1_000},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "The answer", json!({
            "type": "object",
            "properties": {
                "rows": {"type": "array", "items": {"type": "object"}},
                "row_count": {"type": "integer"},
                "truncated": {"type": "boolean", "description": "Whether there were more than max_rows"},
            },
        }))],
        example: json!({
            "url": "{{ secrets.SHOP_DATABASE_URL }}",
            "sql": "SELECT id, total FROM orders WHERE customer = $1 AND total > $2 ORDER BY id",
            "params": ["{{ inputs.customer }}", 100],
        }),
    }
}

/// A statement to run.
#[derive(Clone, PartialEq)]
pub struct SqlCall {
    /// Where the database is, in a form that guards understand: `https://host:port/`.
    pub place: Url,
    /// The connection URL, with the password.
    pub address: String,
    /// The statement; gives one row of one text, or none where it gives no rows.
    pub sql: String,
    /// The values of `$1`, `$2`, … as text.
    pub params: Vec<String>,
    written: String,
    rows: Option<usize>,
}

impl std::fmt::Debug for SqlCall {
    /// Without the password.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SqlCall")
            .field("place", &self.place.as_str())
            .field("sql", &self.sql)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Config {
    url: String,
    sql: String,
    #[serde(default)]
    params: Vec<Value>,
    rows: Option<bool>,
    max_rows: Option<usize>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let (place, address) = address(&config.url)?;
    let written = config.sql.trim().trim_end_matches(';').trim_end();
    let (sql, params) = placeholders::typed(written, &config.params)?;
    let most = config.max_rows.unwrap_or(1_000).min(MOST_ROWS);
    let rows = config.rows.unwrap_or(true).then_some(most);
    let sql = match rows {
        // Postgres itself writes every type as JSON. One row more tells whether there are more.
        Some(most) => format!(
            "WITH nodeai_q AS (\n{sql}\n) SELECT coalesce(json_agg(q), '[]')::text FROM (SELECT * FROM nodeai_q LIMIT {}) q",
            most + 1
        ),
        None => sql,
    };
    Ok(Effect::Sql(Box::new(SqlCall {
        place,
        address,
        sql,
        params,
        written: written.to_owned(),
        rows,
    })))
}

/// Takes a connection URL apart and puts it together again of what was understood: host lists, sockets and settings that
/// name another server (`host`, `hostaddr`) have no place in it.
fn address(text: &str) -> Result<(Url, String), NodeError> {
    let bad = |why: &str| NodeError::config(format!("/url: {why}"));
    let url = Url::parse(text.trim())
        .map_err(|_| bad("is no URL; it is written postgres://user:password@host:5432/database"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(bad("begins with postgres://"));
    }
    let host = url.host_str().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    if host.is_empty() || !host.chars().all(plain) {
        return Err(bad("names one host"));
    }
    let port = url.port().unwrap_or(5432);
    let place =
        Url::parse(&format!("https://{host}:{port}/")).map_err(|_| bad("names one host"))?;
    let mut address = format!("postgres://{}", url.username());
    if let Some(password) = url.password() {
        address.push_str(&format!(":{password}"));
    }
    // The host as guards have read it, so that nobody reads another one.
    let host = place.host_str().unwrap_or_default();
    address.push_str(&format!("@{host}:{port}{}", url.path()));
    let mut mark = '?';
    for (name, value) in url.query_pairs() {
        let word = value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !SETTINGS.contains(&name.as_ref()) || !word {
            return Err(bad(&format!(
                "the setting {name} is not taken; {} are",
                SETTINGS.join(" and ")
            )));
        }
        address.push_str(&format!("{mark}{name}={value}"));
        mark = '&';
    }
    Ok((place, address))
}

impl SqlCall {
    /// What is known of the call before its answer.
    pub fn meta(&self) -> CallMeta {
        CallMeta {
            url: Some(self.shown_place()),
            ..CallMeta::default()
        }
    }

    fn shown_place(&self) -> String {
        let host = self.place.host_str().unwrap_or_default();
        let port = self.place.port_or_known_default().unwrap_or_default();
        format!("postgres://{host}:{port}")
    }

    /// Turns the answer into the node's output.
    ///
    /// # Errors
    /// When it is not what was asked for.
    pub fn finish(&self, answer: Option<&str>) -> Result<Outcome, NodeError> {
        let Some(most) = self.rows else {
            return Ok(Outcome::new(
                json!({"rows": [], "row_count": 0, "truncated": false}),
            ));
        };
        let mut rows: Vec<Value> = serde_json::from_str(answer.unwrap_or("[]")).map_err(|_| {
            let message = "the database's answer is not what was asked for";
            NodeError::new("malformed_response", message, false)
        })?;
        let truncated = rows.len() > most;
        rows.truncate(most);
        Ok(Outcome::new(
            json!({"row_count": rows.len(), "rows": rows, "truncated": truncated}),
        ))
    }

    /// Everything on which the answer depends.
    pub(super) fn identity(&self) -> Value {
        json!([self.address, self.sql, self.params])
    }

    /// What is sent, for the log.
    pub(super) fn shown(&self) -> Value {
        json!({"url": self.shown_place(), "sql": self.written, "params": self.params})
    }
}

#[cfg(test)]
mod tests;
