//! Databases of the users' own, as far as the operator lets them be reached.

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use nodeai_app::Cx;
use nodeai_engine::{NodeError, SqlCall};
use nodeai_guard::host_matches;
use nodeai_ports::{PgError, PgParam};
use nodeai_runner::DatabasePort;
use nodeai_store::Session;
use std::rc::Rc;

/// The variable that lists the hosts: `db.example.com`, `*.example.com`, `10.0.0.5:5432`; `*` for all.
///
/// Hosts resolve names of HTTP requests to public addresses only; connections to Postgres they do not vet, since the
/// application's own database is mostly private. So what nodes may reach is named by whoever runs the application.
const LIST: &str = "nodeai_postgres_hosts";

/// SQLSTATE classes after which the same statement may succeed: rolled back, out of resources, going down.
const MAY_PASS: [&str; 3] = ["40", "53", "57P"];

/// The port. The request's own connection is given back while another database works.
pub struct Databases {
    /// The request.
    pub cx: Rc<Cx>,
    /// Its admitted session.
    pub session: Rc<Session>,
}

impl std::fmt::Debug for Databases {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Databases")
    }
}

impl DatabasePort for Databases {
    fn run<'a>(
        &'a self,
        call: &'a SqlCall,
    ) -> LocalBoxFuture<'a, Result<Option<String>, NodeError>> {
        async move {
            self.check(call).await?;
            self.session.release();
            let connection = self.cx.env().open(&call.address).await.map_err(failed)?;
            let params = call.params.iter().cloned().map(PgParam::Text).collect();
            let row = connection.row(&call.sql, params).await.map_err(failed)?;
            Ok(row.and_then(|columns| columns.into_iter().next().flatten()))
        }
        .boxed_local()
    }
}

impl Databases {
    async fn check(&self, call: &SqlCall) -> Result<(), NodeError> {
        let list = self.cx.env().get(LIST).await.unwrap_or_default();
        let mut rules = list
            .split(',')
            .map(str::trim)
            .filter(|rule| !rule.is_empty());
        if rules.any(|rule| host_matches(&rule.to_ascii_lowercase(), &call.place)) {
            return Ok(());
        }
        let host = call.place.host_str().unwrap_or_default();
        let message = format!("{host} is not among the databases that may be reached ({LIST})");
        Err(NodeError::new("database_refused", message, false))
    }
}

/// The words of the user's own server are the user's; what the driver says of a connection may hold more than that.
fn failed(error: PgError) -> NodeError {
    match error {
        PgError::Db { code, message } => {
            let may_pass = MAY_PASS.iter().any(|class| code.starts_with(class));
            NodeError::new("database", format!("{message} (SQLSTATE {code})"), may_pass)
        }
        PgError::Unavailable(_) => {
            let message = "the database cannot be reached, or refuses the login";
            NodeError::new("connection", message, true)
        }
        PgError::Other(message) => NodeError::new("database", message, false),
    }
}
