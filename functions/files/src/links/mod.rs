//! Links that open one file without a login, until they expire or are revoked.

pub mod create;
pub mod list;
pub mod open;
pub mod revoke;

use nodeai_app::Cx;
use nodeai_app::vault::master_keys;
use nodeai_http::Problem;

/// The keys that may have signed a link, newest first. Errors: 503 without a master key.
fn keys(cx: &Cx) -> Result<Vec<[u8; 32]>, Problem> {
    let derived = master_keys(cx)?.derived("file links");
    Ok(derived.iter().map(|key| **key).collect())
}
