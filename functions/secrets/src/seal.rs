//! A new value in its envelope, bound to tenant, secret and version.

use nodeai_app::vault::{self, SealedText};
use nodeai_app::{Caller, Scope, clock};
use nodeai_http::Problem;
use serde_json::{Value, json};

/// The row of a new version. Errors: 503 without a master key.
pub fn version_row<S: Scope>(
    caller: &Caller<S>,
    secret_id: &str,
    value: &str,
) -> Result<Value, Problem> {
    let id = clock::new_id();
    let place = vault::secret_place(caller.org_id(), secret_id, &id);
    let SealedText {
        key_version,
        wrapped_key,
        nonce,
        ciphertext,
    } = vault::seal(&caller.cx, place, value.as_bytes())?.for_row();
    Ok(
        json!({"id": id, "key_version": key_version, "wrapped_key": wrapped_key, "nonce": nonce,
        "ciphertext": ciphertext}),
    )
}
