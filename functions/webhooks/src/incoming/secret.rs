//! An incoming webhook's secret: given or drawn, and sealed.

use crate::seal;
use nodeai_app::{Caller, Scope, clock};
use nodeai_http::{FieldError, Problem};
use nodeai_webhook::Key;
use nodeai_webhook::inbound::scheme::{Kind, Secret};
use serde_json::Value;
use zeroize::Zeroizing;

/// A secret on its way to the store.
pub struct Kept {
    /// The secret, when it was drawn here: whoever asked has to hear it.
    pub drawn: Option<Zeroizing<String>>,
    /// Its row; null when there is none.
    pub row: Value,
}

/// The secret of a scheme that comes by it as `wanted` says. Errors: 400 at `/secret` for one that cannot be; 503 without
/// a master key.
pub fn keep<S: Scope>(
    caller: &Caller<S>,
    webhook_id: &str,
    (kind, wanted): (Kind, Secret),
    given: Option<&str>,
) -> Result<Kept, Problem> {
    let wrong = |code, detail| {
        Err(Problem::fields(vec![FieldError::body(
            "/secret", code, detail,
        )]))
    };
    let drawn = match (wanted, given) {
        (Secret::None, None) => {
            let row = Value::Null;
            return Ok(Kept { drawn: None, row });
        }
        (Secret::None, Some(_)) => {
            return wrong("not_allowed", "there is no secret with this scheme");
        }
        (Secret::Given, None) => return wrong("required", "the sender shows it; give it here"),
        (_, Some(text)) if !kind.takes(text) => return wrong("format", what(kind)),
        (_, Some(_)) => None,
        (Secret::Drawn, None) => Some(draw(kind)),
    };
    let text = drawn.as_ref().map(|text| text.as_str()).or(given);
    let row = seal::text(caller, webhook_id, text.unwrap_or_default())?;
    Ok(Kept { drawn, row })
}

fn draw(kind: Kind) -> Zeroizing<String> {
    let random = Zeroizing::new(clock::random::<32>());
    match kind {
        Kind::StandardWebhooks => Key::shared(&random).expose(),
        _ => Zeroizing::new(clock::hex(&*random)),
    }
}

fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::StandardWebhooks => "must be a secret whsec_… or a public key whpk_…",
        Kind::HeaderToken => "must have 16 to 1000 visible ASCII characters",
        _ => "must have 8 to 1000 bytes",
    }
}
