//! E-mail addresses as invitations take them.

/// The address in one way of writing, or `None` when it is not one that mail and people read alike: ASCII only (an
/// internationalised domain in its `xn--` form), so that no letter can pass for another (Unicode TR 39).
pub fn tidy(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    let local_byte = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&b);
    let dots = |part: &str| !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let holds = (1..=64).contains(&local.len())
        && local.bytes().all(local_byte)
        && dots(local)
        && domain.len() <= 253
        && domain.contains('.')
        && domain.split('.').all(label);
    holds.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::tidy;

    #[test]
    fn addresses_are_told_from_tricks() {
        assert_eq!(
            tidy("Ada.L+x@Example.org").as_deref(),
            Some("ada.l+x@example.org")
        );
        assert_eq!(
            tidy("a@xn--bcher-kva.example").as_deref(),
            Some("a@xn--bcher-kva.example")
        );
        for bad in [
            "",
            "@",
            "a@",
            "@b.c",
            "a@b",
            "a b@c.de",
            "a@b..de",
            ".a@b.de",
            "a.@b.de",
            "a..b@c.de",
            "аdmin@example.org", // a Cyrillic а
            "admin@exаmple.org",
            "a@example.org\u{200b}",
            "a@example.org\n",
            "a\u{202e}@example.org",
            "a@-b.de",
            "a@b-.de",
        ] {
            assert_eq!(tidy(bad), None, "{bad:?}");
        }
    }
}
