//! What an instance keeps between requests: router, settings, token keys; of tenants only feature flags, by organisation.

use crate::cx::Cx;
use crate::flags::FlagCache;
use crate::settings::Settings;
use nodeai_auth::jwks::KeyCache;
use nodeai_http::{Router, Routes};
use nodeai_ports::Env;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

/// One area's application.
pub struct App {
    /// Area name, for logs and spans.
    pub area: &'static str,
    /// Its routes.
    pub router: Router<Cx>,
    /// What `OPTIONS` says beside what every area says.
    pub announced: Vec<(&'static str, &'static str)>,
    /// The host.
    pub env: Rc<dyn Env>,
    settings: OnceCell<Rc<Settings>>,
    /// The token issuer's keys.
    pub keys: RefCell<KeyCache>,
    /// Feature flags, for a few seconds.
    pub flags: FlagCache,
}

impl App {
    /// An application of `routes` on `env`.
    pub fn new(routes: Routes<Cx>, env: Rc<dyn Env>) -> Self {
        Self {
            area: routes.area,
            announced: routes.announced.clone(),
            router: Router::new(routes),
            env,
            settings: OnceCell::new(),
            keys: RefCell::default(),
            flags: FlagCache::default(),
        }
    }

    /// The settings, read on the first request.
    pub async fn settings(&self) -> Rc<Settings> {
        if let Some(settings) = self.settings.get() {
            return settings.clone();
        }
        let read = Rc::new(Settings::read(&*self.env).await);
        self.settings.get_or_init(|| read).clone()
    }
}
