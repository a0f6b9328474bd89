//! Calls as the application itself: background work over all tenants' data, such as deliveries that are due.

use crate::config::Backend;
use crate::port::Error;
use crate::postgres;
use crate::session::{Store, admission_error, decode, first_text};
use serde::Serialize;
use serde::de::DeserializeOwned;

const ROLE: &str = "service_role";
const CLAIMS: &str = r#"{"role":"service_role"}"#;

impl Store {
    /// Calls the SQL function `public.<name>(jsonb) returns jsonb` as `service_role`, in one statement (or request). No
    /// caller stands behind it: only what a caller asked for within the own organisation, or the operator's schedule, may
    /// lead here.
    ///
    /// Errors: [`Error`] when the store fails.
    pub async fn call_service<T: DeserializeOwned>(
        &self,
        name: &str,
        args: &impl Serialize,
    ) -> Result<T, Error> {
        let args = serde_json::to_string(args).map_err(decode)?;
        match &*self.backend {
            Backend::Postgres { url } => {
                let connection = self.env.open(url).await.map_err(postgres::from_pg)?;
                let (sql, params) = postgres::act(name, args, CLAIMS, ROLE);
                let row = connection.row(&sql, params).await;
                let text = first_text(row.map_err(|error| admission_error(error, url))?)?;
                serde_json::from_str(&text).map_err(decode)
            }
            Backend::Supabase {
                url, service_key, ..
            } => {
                let answer = self
                    .project_call(url, service_key, name, Some(&args))
                    .await?;
                serde_json::from_value(answer).map_err(decode)
            }
        }
    }
}
