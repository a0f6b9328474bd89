//! The token that a caller is known by.

use super::token::{LIFETIME_S, mint};
use crate::port::Error;
use std::cell::RefCell;

/// The token that a caller is known by.
pub(crate) enum Bearer {
    /// The caller's own.
    Own(String),
    /// One that we signed, and sign anew before it ends: a run may take longer than it is good for.
    Minted {
        claims: String,
        secret: String,
        token: RefCell<(String, i64)>,
    },
}

impl Bearer {
    pub(crate) fn minted(claims: &str, secret: &str, now_s: i64) -> Result<Self, Error> {
        let token = mint(claims, secret, now_s)?;
        Ok(Self::Minted {
            claims: claims.to_owned(),
            secret: secret.to_owned(),
            token: RefCell::new((token, now_s)),
        })
    }

    pub(crate) fn token(&self) -> Result<String, Error> {
        match self {
            Self::Own(token) => Ok(token.clone()),
            Self::Minted {
                claims,
                secret,
                token,
            } => {
                let now_s = now_s();
                if now_s - token.borrow().1 > LIFETIME_S / 2 {
                    token.replace((mint(claims, secret, now_s)?, now_s));
                }
                Ok(token.borrow().0.clone())
            }
        }
    }
}

/// Seconds since the Unix epoch.
fn now_s() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
