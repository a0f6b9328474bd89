//! Tokens of links: a prefix that says to what, and 43 random base62 characters (256 bits).

use crate::api_key::{base62, sha256_hex};

const RANDOM_LEN: usize = 43;

/// What a link shows. A token of one kind is none of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// A workflow: `nws_`.
    Workflow,
    /// A trace: `nts_`.
    Trace,
}

impl Shows {
    fn prefix(self) -> &'static str {
        match self {
            Self::Workflow => "nws_",
            Self::Trace => "nts_",
        }
    }
}

/// A token of the right form. Whether its link exists only the store knows. Not printable by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkToken(String);

impl std::fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkToken(…)")
    }
}

impl LinkToken {
    /// Makes a token from random bytes (at least 64, from a cryptographic source); `None` when there are too few.
    pub fn mint(shows: Shows, random: &[u8]) -> Option<Self> {
        let body = base62(random, RANDOM_LEN)?;
        Some(Self(format!("{}{body}", shows.prefix())))
    }

    /// Reads a token; `None` when it has another form, or shows something else.
    pub fn parse(shows: Shows, text: &str) -> Option<Self> {
        let body = text.strip_prefix(shows.prefix())?;
        let fits = body.len() == RANDOM_LEN && body.bytes().all(|b| b.is_ascii_alphanumeric());
        fits.then(|| Self(text.to_owned()))
    }

    /// SHA-256 of the whole token, hex: what the store keeps.
    pub fn hash(&self) -> String {
        sha256_hex(&self.0)
    }

    /// The whole token, to be shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_token_reads_back_and_others_do_not() {
        let random: Vec<u8> = (0..64).collect();
        let token = LinkToken::mint(Shows::Workflow, &random).unwrap();
        let parse = |text: &str| LinkToken::parse(Shows::Workflow, text);
        assert_eq!(parse(token.expose()), Some(token.clone()));
        assert_eq!(LinkToken::parse(Shows::Trace, token.expose()), None);
        assert!(LinkToken::mint(Shows::Trace, &[250; 64]).is_none());
        for bad in [
            "",
            "nws_",
            "nws_abc",
            &token.expose()[1..],
            &token.expose().replace('1', "/"),
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert!(!format!("{token:?}").contains(&token.expose()[4..]));
    }
}
