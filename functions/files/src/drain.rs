//! `POST /api/v1/files/drain`

use crate::FilesRun;
use crate::config::Config;
use nodeai_app::errors::log;
use nodeai_app::{Cx, Drainer, store_problem};
use nodeai_http::{Problem, reply::Json};
use nodeai_objects::Progress;
use nodeai_store::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Rows of bytes that one request removes at most.
const MOST: u32 = 500;

/// What was removed.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Drained {
    /// Files that had been deleted.
    files: u64,
    /// Uploads that were given up, or had expired.
    uploads: u64,
    /// Objects of other stores.
    objects: u64,
    /// Objects that could not be removed; they are tried again, later each time.
    failed: u64,
    /// `nothing` or `more`.
    left: &'static str,
}

#[derive(Deserialize)]
struct Purged {
    files: u64,
    uploads: u64,
    left: bool,
    garbage: Vec<Garbage>,
}

#[derive(Deserialize)]
struct Garbage {
    id: String,
    object_key: String,
    backend_state: Option<Progress>,
}

/// Removes the bytes of what was deleted, given up or has expired.
pub async fn handle(drainer: Drainer<FilesRun>) -> Result<Json<Drained>, Problem> {
    drainer.release();
    let cx = drainer.cx();
    let store = cx.store()?;
    let mut done = Drained::default();
    let mut left = false;
    for name in ["s3", "supabase"] {
        let args = json!({"org_id": drainer.org_id(), "most": MOST, "backend": name});
        let purged: Purged = store
            .call_service("files_purge", &args)
            .await
            .map_err(store_problem)?;
        done.files += purged.files;
        done.uploads += purged.uploads;
        left |= purged.left || purged.garbage.len() >= 32;
        remove(cx, &store, (name, purged.garbage), &mut done).await?;
    }
    done.left = if left { "more" } else { "nothing" };
    Ok(Json::ok(done))
}

async fn remove(
    cx: &Cx,
    store: &Store,
    (name, garbage): (&str, Vec<Garbage>),
    done: &mut Drained,
) -> Result<(), Problem> {
    if garbage.is_empty() {
        return Ok(());
    }
    // A store that is no longer configured keeps what it has; its garbage waits.
    let Ok(Some(objects)) = Config::of(cx).await.objects(name) else {
        return Ok(());
    };
    let mut gone = Vec::new();
    for object in garbage {
        let progress = object.backend_state.unwrap_or_default();
        match objects.remove(&object.object_key, &progress).await {
            Ok(()) => gone.push(object.id),
            Err(fault) => {
                log("file garbage", &format!("{}: {fault:?}", object.object_key));
                done.failed += 1;
            }
        }
    }
    done.objects += gone.len() as u64;
    let args = json!({"ids": gone});
    let dropped: Result<Value, _> = store.call_service("files_purged", &args).await;
    dropped.map(drop).map_err(store_problem)
}
