//! A cache of JWKS keys by `kid`, with the rule that an unknown `kid` refetches at most every 30 s.

use jsonwebtoken::jwk::{Jwk, JwkSet};
use std::collections::HashMap;

/// Seconds between two fetches caused by unknown key ids.
pub const REFETCH_AFTER_S: i64 = 30;
/// Seconds after which the set is fetched again even when every key id is known: a withdrawn key must go.
pub const REFRESH_AFTER_S: i64 = 600;

/// The keys of one issuer. An instance may keep it between requests; it holds no tenant's data.
#[derive(Debug, Default)]
pub struct KeyCache {
    keys: HashMap<String, Jwk>,
    fetched_s: Option<i64>,
}

impl KeyCache {
    /// Whether the set should be fetched before `kid` is judged, now being `now_s` (seconds since the epoch).
    pub fn needs_fetch(&self, kid: &str, now_s: i64) -> bool {
        match self.fetched_s {
            None => true,
            Some(at) if now_s - at >= REFRESH_AFTER_S => true,
            Some(at) => !self.keys.contains_key(kid) && now_s - at >= REFETCH_AFTER_S,
        }
    }

    /// Takes a fetched set; a document that is no JWKS leaves the known keys and only counts as a fetch.
    pub fn store(&mut self, document: &[u8], now_s: i64) {
        self.fetched_s = Some(now_s);
        if let Ok(set) = serde_json::from_slice::<JwkSet>(document) {
            let with_id = |jwk: Jwk| Some((jwk.common.key_id.clone()?, jwk));
            self.keys = set.keys.into_iter().filter_map(with_id).collect();
        }
    }

    /// The key `kid`.
    pub fn get(&self, kid: &str) -> Option<&Jwk> {
        self.keys.get(kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(kids: &[&str]) -> Vec<u8> {
        let keys: Vec<_> = kids
            .iter()
            .map(|kid| serde_json::json!({"kty": "oct", "kid": kid, "k": "AQ"}))
            .collect();
        serde_json::to_vec(&serde_json::json!({ "keys": keys })).unwrap()
    }

    #[test]
    fn an_unknown_key_refetches_at_most_every_thirty_seconds() {
        let mut cache = KeyCache::default();
        assert!(cache.needs_fetch("a", 0));
        cache.store(&set(&["a"]), 0);
        assert!(!cache.needs_fetch("a", 29));
        assert!(!cache.needs_fetch("b", 29));
        assert!(cache.needs_fetch("b", 30));
        assert!(!cache.needs_fetch("a", 30));
        assert!(cache.needs_fetch("a", 600));
    }

    #[test]
    fn several_keys_are_known_during_a_rotation_and_a_withdrawn_one_goes() {
        let mut cache = KeyCache::default();
        cache.store(&set(&["old", "new"]), 0);
        assert!(cache.get("old").is_some() && cache.get("new").is_some());
        cache.store(&set(&["new"]), 30);
        assert!(cache.get("old").is_none());
    }

    #[test]
    fn rubbish_does_not_forget_the_keys() {
        let mut cache = KeyCache::default();
        cache.store(&set(&["a"]), 0);
        cache.store(b"<html>", 40);
        assert!(cache.get("a").is_some());
        assert!(!cache.needs_fetch("b", 50));
    }
}
