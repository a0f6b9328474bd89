//! `POST /api/v1/oauth/connections/{id}/refresh`

use crate::OauthWrite;
use crate::model::{CONNECTION, Connection, connections};
use nodeai_app::{Caller, PathId};
use nodeai_http::{Problem, reply::Json};
use nodeai_oauth::Connections;
use nodeai_store::{Filter, Select};

/// Refreshes the token now. Several at once refresh it once.
pub async fn handle(
    caller: Caller<OauthWrite>,
    PathId(id): PathId,
) -> Result<Json<Connection>, Problem> {
    let vault = Connections {
        cx: caller.cx.clone(),
        session: caller.session.clone(),
        execution_id: None,
        environment: None,
    };
    vault.refresh_now(&id).await?;
    let query =
        Select::from(connections::TABLE, CONNECTION).filter(Filter::Eq(connections::id, id));
    caller.find(query, "connection").await.map(Json::ok)
}
