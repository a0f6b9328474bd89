//! API keys drawn on this machine; their form is the application's own (`nodeai-auth`).
use rand::RngCore;

pub use nodeai_auth::api_key::{ApiKey, Mode};

/// Draws a key from the operating system's randomness.
pub fn mint(mode: Mode) -> ApiKey {
    loop {
        let mut random = [0u8; 64];
        rand::rngs::OsRng.fill_bytes(&mut random);
        if let Some(key) = ApiKey::mint(mode, &random) {
            return key;
        }
    }
}

/// The key's prefix, as the database keeps it.
pub fn prefix(key: &ApiKey) -> &str {
    &key.expose()[..Mode::Live.prefix().len()]
}
