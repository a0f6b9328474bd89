//! Revisions of the protocol, and the two eras that they belong to.

/// The revision without handshake and sessions: every request says what it speaks.
pub const MODERN: &str = "2026-07-28";

/// Revisions that begin with `initialize`, the newest first.
pub const LEGACY: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

/// What a request without the header field speaks: the first revision of this transport did not have it.
pub const WITHOUT_HEADER: &str = "2025-03-26";

/// How a revision works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Stateless, since 2026-07-28.
    Modern,
    /// With a handshake, until 2025-11-25.
    Legacy,
}

/// The era of a revision that is spoken here.
pub fn era(version: &str) -> Option<Era> {
    match version {
        MODERN => Some(Era::Modern),
        other if LEGACY.contains(&other) => Some(Era::Legacy),
        _ => None,
    }
}

/// The revision for a client that asks for one in `initialize`: that one if it is spoken here, else the newest of its era.
pub fn negotiate(asked: &str) -> &'static str {
    let same = LEGACY.into_iter().find(|known| *known == asked);
    same.unwrap_or(LEGACY[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_what_it_asks_for_or_the_newest() {
        assert_eq!(negotiate("2025-06-18"), "2025-06-18");
        assert_eq!(negotiate("2024-11-05"), "2025-11-25");
        assert_eq!(negotiate(MODERN), "2025-11-25");
        assert_eq!(era("2024-11-05"), None);
    }
}
