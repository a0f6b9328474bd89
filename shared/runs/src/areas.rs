//! The key with which a run reaches the platform's own areas as its owner: made when it is first needed, worth something only while
//! the run is at work.

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use nodeai_app::{clock, errors::log};
use nodeai_auth::api_key::{ApiKey, Mode};
use nodeai_engine::NodeError;
use nodeai_runner::AreaPort;
use nodeai_store::Session;
use serde::Deserialize;
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;

/// A key that ends within this time is not used any more, µs.
const NEARLY_OVER_US: i64 = 60_000_000;

/// The port. One key serves all nodes of a run.
pub struct Areas {
    session: Rc<Session>,
    execution_id: String,
    kept: RefCell<Option<Kept>>,
}

struct Kept {
    key: String,
    expires_us: i64,
}

#[derive(Deserialize)]
struct Made {
    expires_us: Option<i64>,
}

impl Areas {
    /// The port of a run.
    pub fn new(session: Rc<Session>, execution_id: String) -> Self {
        Self {
            session,
            execution_id,
            kept: RefCell::new(None),
        }
    }

    fn current(&self) -> Option<String> {
        let kept = self.kept.borrow();
        let fresh = kept
            .as_ref()
            .filter(|kept| kept.expires_us > clock::now_us().saturating_add(NEARLY_OVER_US));
        fresh.map(|kept| kept.key.clone())
    }

    async fn make(&self) -> Result<String, NodeError> {
        let unavailable = |retryable| {
            let message = "the run cannot be let into the platform's areas now";
            NodeError::new("area_unavailable", message, retryable)
        };
        let random: [u8; 64] = clock::random();
        let key = ApiKey::mint(Mode::Run, &random).ok_or_else(|| unavailable(true))?;
        let args = json!({"org_id": self.session.org_id(), "execution_id": self.execution_id,
            "key_hash": key.hash()});
        let made: Result<Made, _> = self.session.call("run_key", &args).await;
        let made = made.map_err(|error| {
            log("run_key", &error.to_string());
            unavailable(true)
        })?;
        let expires_us = made.expires_us.ok_or_else(|| unavailable(false))?;
        let key = key.expose().to_owned();
        self.kept.replace(Some(Kept {
            key: key.clone(),
            expires_us,
        }));
        Ok(key)
    }
}

impl std::fmt::Debug for Areas {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Areas")
    }
}

impl AreaPort for Areas {
    fn key(&self) -> LocalBoxFuture<'_, Result<String, NodeError>> {
        async move {
            match self.current() {
                Some(key) => Ok(key),
                None => self.make().await,
            }
        }
        .boxed_local()
    }
}
