//! Names of files and folders: what could mislead a person or a file system is refused, what is merely awkward is mended.

/// Most characters of a name.
pub const LONGEST_NAME: usize = 255;
/// Most characters of a folder.
pub const LONGEST_FOLDER: usize = 500;

/// Why a name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing is left of it.
    #[error("must not be empty, nor `.` or `..`")]
    Empty,
    /// Too many characters.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// Line breaks, NUL and the like.
    #[error("must not have control characters")]
    Control,
    /// Characters that turn the direction of writing: `invoice\u{202e}fdp.exe` looks like `invoiceexe.pdf`.
    #[error("must not have characters that change the direction of writing")]
    Direction,
    /// `/` or `\` in a name.
    #[error("must not have `/` or `\\`")]
    Separator,
    /// A device's name on Windows, such as `CON` or `LPT1.txt`.
    #[error("is a reserved name")]
    Reserved,
}

/// A name that was given as such: no folders in it.
pub fn checked(name: &str) -> Result<String, Refused> {
    match name.contains(['/', '\\']) {
        true => Err(Refused::Separator),
        false => clean(name),
    }
}

/// A name that came with an upload: some clients send whole paths, of which the last part counts (RFC 7578, section 4.2).
pub fn of_upload(name: &str) -> Result<String, Refused> {
    clean(name.rsplit(['/', '\\']).next().unwrap_or_default())
}

/// A folder such as `reports/2026`: each part is a name, no part goes up. Slashes around it are left out; none is no folder.
pub fn folder(path: &str) -> Result<Option<String>, Refused> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Ok(None);
    }
    if path.contains('\\') {
        return Err(Refused::Separator);
    }
    let parts: Result<Vec<String>, Refused> = path.split('/').map(clean).collect();
    let path = parts?.join("/");
    match path.chars().count() > LONGEST_FOLDER {
        true => Err(Refused::TooLong(LONGEST_FOLDER)),
        false => Ok(Some(path)),
    }
}

fn clean(name: &str) -> Result<String, Refused> {
    if name.chars().any(char::is_control) {
        return Err(Refused::Control);
    }
    if name.chars().any(turns_direction) {
        return Err(Refused::Direction);
    }
    // Windows drops dots and spaces at the end, and takes none of these characters.
    let name = name.trim().trim_end_matches(['.', ' ']);
    let name = name.replace(['<', '>', ':', '"', '|', '?', '*'], "_");
    match name.as_str() {
        "" | "." | ".." => Err(Refused::Empty),
        name if name.chars().count() > LONGEST_NAME => Err(Refused::TooLong(LONGEST_NAME)),
        name if is_reserved(name) => Err(Refused::Reserved),
        _ => Ok(name),
    }
}

/// Unicode's explicit directional formatting (UAX #9), marks, and characters that cannot be seen at all.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}'
        | '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let stem = stem.to_ascii_uppercase();
    let numbered = |device: &str| {
        let rest = stem.strip_prefix(device);
        rest.is_some_and(|digit| digit.len() == 1 && matches!(digit.as_bytes()[0], b'1'..=b'9'))
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in [
            "a.txt",
            "Bericht März 2026.pdf",
            "財務.xlsx",
            ".env",
            "com10.txt",
            "console.log",
            "a..b",
        ] {
            assert_eq!(checked(name).as_deref(), Ok(name));
        }
    }

    #[test]
    fn awkward_names_are_mended() {
        assert_eq!(checked("  a.txt . ").as_deref(), Ok("a.txt"));
        assert_eq!(checked("a:b?.txt").as_deref(), Ok("a_b_.txt"));
        assert_eq!(of_upload("C:\\temp\\a.txt").as_deref(), Ok("a.txt"));
        assert_eq!(of_upload("../../etc/passwd").as_deref(), Ok("passwd"));
    }

    #[test]
    fn misleading_names_are_refused() {
        let cases = [
            ("", Refused::Empty),
            ("..", Refused::Empty),
            (" . . ", Refused::Empty),
            ("a\0.txt", Refused::Control),
            ("a\r\nb", Refused::Control),
            ("a\u{85}b", Refused::Control),
            ("invoice\u{202e}fdp.exe", Refused::Direction),
            ("a\u{2066}b", Refused::Direction),
            ("a/b", Refused::Separator),
            ("..\\b", Refused::Separator),
            ("con", Refused::Reserved),
            ("LPT1.tar.gz", Refused::Reserved),
            ("nul .txt", Refused::Reserved),
        ];
        for (name, why) in cases {
            assert_eq!(checked(name), Err(why), "{name:?}");
        }
        let long = "ä".repeat(LONGEST_NAME + 1);
        assert_eq!(checked(&long), Err(Refused::TooLong(LONGEST_NAME)));
        assert_eq!(of_upload("a/.."), Err(Refused::Empty));
    }

    #[test]
    fn folders_do_not_go_up() {
        assert_eq!(folder("/a/b c/"), Ok(Some("a/b c".to_owned())));
        assert_eq!(folder("/"), Ok(None));
        for bad in ["a/../b", "a//b", "a/./b", "a\\b", "a/nul"] {
            assert!(folder(bad).is_err(), "{bad}");
        }
    }
}
