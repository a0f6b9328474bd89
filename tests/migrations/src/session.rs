//! Tenants and sessions, admitted as the functions admit theirs.

use serde_json::{Value, json};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::Database;

/// A new id, in the form in which it travels.
pub fn id() -> String {
    Uuid::now_v7().to_string()
}

/// A user, the organisation and an API key.
pub struct Tenant {
    /// The user's id.
    pub user: String,
    /// The personal organisation's id.
    pub org: String,
    /// The key's id.
    pub key: String,
    /// SHA-256 of the key, as far as the database can tell.
    pub key_hash: String,
}

impl Tenant {
    pub(crate) async fn create(db: &Database, name: &str) -> Self {
        let tenant = Self {
            user: id(),
            org: id(),
            key: id(),
            key_hash: format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()),
        };
        let row = json!({
            "user_id": tenant.user, "email": format!("{name}@example.org"), "org_id": tenant.org,
            "key_id": tenant.key, "key_hash": tenant.key_hash, "key_last4": "abcd", "key_prefix": "nai_live_",
            "scopes": ["*"], "name": name,
        });
        let owner = db.owner().await;
        owner
            .query_one("SELECT nodeai.bootstrap_local($1)", &[&row])
            .await
            .expect("a tenant");
        tenant
    }

    /// A session that this tenant's key has been admitted to.
    pub async fn session(&self, db: &Database) -> Session {
        let session = db.session().await;
        let principal = session
            .admit(json!({"kind": "api_key", "key_hash": self.key_hash, "cost": 1}))
            .await;
        assert_eq!(principal["outcome"], "ok", "{principal}");
        session
    }

    /// A session of this user without a key, in the organisation `org`.
    pub async fn session_in(&self, db: &Database, org: &str) -> Session {
        let session = db.session().await;
        let claims = json!({"sub": self.user});
        let principal = session
            .admit(json!({"kind": "jwt", "claims": claims, "org_id": org}))
            .await;
        assert_eq!(principal["outcome"], "ok", "{principal}");
        session
    }

    /// Claims as admission gives them, for work without a session.
    pub fn claims(&self) -> String {
        json!({"sub": self.user, "role": "authenticated", "org_id": self.org}).to_string()
    }
}

/// A connection as `nodeai_app`.
pub struct Session {
    client: Client,
}

impl Session {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// The connection itself.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Admits, setting the session as the guests do. Returns the principal.
    pub async fn admit(&self, request: Value) -> Value {
        let row = self
            .client
            .query_one(
                "SELECT a.principal, a.role, set_config('request.jwt.claims', a.claims, false),
                        set_config('role', a.role, false) FROM nodeai.admit($1) a",
                &[&request],
            )
            .await
            .expect("admission answers");
        row.get(0)
    }

    /// Calls `public.<function>(argument)`.
    pub async fn call(&self, function: &str, argument: Value) -> Value {
        self.try_call(function, argument)
            .await
            .unwrap_or_else(|error| panic!("{function}: {error:?}"))
    }

    /// The same where an error is expected.
    ///
    /// # Errors
    /// What the database answered.
    pub async fn try_call(
        &self,
        function: &str,
        argument: Value,
    ) -> Result<Value, tokio_postgres::Error> {
        let sql = format!("SELECT public.{function}($1)");
        let row = self.client.query_one(&sql, &[&argument]).await?;
        Ok(row.get::<_, Option<Value>>(0).unwrap_or(Value::Null))
    }

    /// The first column of the first row.
    pub async fn count(&self, sql: &str) -> i64 {
        let row = self
            .client
            .query_one(sql, &[])
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        row.get(0)
    }

    /// How many rows a statement touches, or the SQLSTATE with which it is refused.
    ///
    /// # Errors
    /// The SQLSTATE.
    pub async fn touch(&self, sql: &str) -> Result<u64, SqlState> {
        self.client
            .execute(sql, &[])
            .await
            .map_err(|error| error.code().cloned().expect("an answer of the database"))
    }
}

/// Does `nodeai.do_<name>` in the frame of every write, and gives what came of it.
pub async fn command(session: &Session, name: &str, args: Value) -> Value {
    let command = json!({"do": name, "args": args, "answer": {"status": 200, "body": {}}});
    session.call("command", command).await
}

/// The same, which must go well.
pub async fn done(session: &Session, name: &str, args: Value) {
    let made = command(session, name, args).await;
    assert_eq!(made["outcome"], "done", "{name}: {made}");
}

/// Background work, as the functions do it.
pub async fn service(worker: &Session, name: &str, args: Value) -> Value {
    let sql = "SELECT nodeai.act('{\"role\":\"service_role\"}', 'service_role', $1, $2)";
    let row = worker.client().query_one(sql, &[&name, &args]).await;
    let row = row.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    row.get::<_, Option<Value>>(0).unwrap_or_default()
}
