//! Where files are kept, and how large they may be; read once per instance.

use nodeai_app::Cx;
use nodeai_http::Problem;
use nodeai_objects::{Objects, Stores};
use nodeai_ports::Env;
use std::cell::OnceCell;
use std::rc::Rc;

/// Largest file unless `nodeai_files_max_bytes` says otherwise: 1 GiB.
const MAX_BYTES: u64 = 1 << 30;

/// The settings of this area.
pub struct Config {
    /// Largest file, bytes.
    pub max_bytes: u64,
    /// Where new files go: `postgres`, `s3` or `supabase`.
    pub backend: String,
    stores: Stores,
}

impl Config {
    /// The instance's settings.
    pub async fn of(cx: &Cx) -> Rc<Self> {
        thread_local! {
            static CONFIG: OnceCell<Rc<Config>> = const { OnceCell::new() };
        }
        if let Some(config) = CONFIG.with(|cell| cell.get().cloned()) {
            return config;
        }
        let read = Rc::new(Self::read(cx.env()).await);
        CONFIG.with(|cell| cell.get_or_init(|| read).clone())
    }

    async fn read(env: &Rc<dyn Env>) -> Self {
        let max = env.get("nodeai_files_max_bytes").await;
        let backend = env.get("nodeai_files_backend").await;
        Self {
            max_bytes: max.and_then(|n| n.parse().ok()).unwrap_or(MAX_BYTES),
            backend: backend.unwrap_or_else(|| "postgres".to_owned()),
            stores: Stores::read(env).await,
        }
    }

    /// The object store `name`; none for the database. Errors: 503 when it is not configured.
    pub fn objects(&self, name: &str) -> Result<Option<Rc<dyn Objects>>, Problem> {
        match name {
            "postgres" => Ok(None),
            other => self.stores.named(other).map(Some),
        }
    }
}
