//! Media types by content. What a client says, and what a name ends with, decides nothing between kinds; a name only tells
//! plain texts apart.

/// Bytes of a file's beginning that are looked at.
pub const HEAD: usize = 8 << 10;
/// What cannot be told.
pub const UNKNOWN: &str = "application/octet-stream";

/// The type of a file that begins with `head` and is called `name`.
pub fn sniff(head: &[u8], name: &str) -> &'static str {
    if head.is_empty() {
        return text_type(&extension(name), "");
    }
    if let Some(kind) = infer::get(head)
        && !kind.mime_type().starts_with("text/")
    {
        return kind.mime_type();
    }
    match text_of(head) {
        Some(text) => of_text(&text, name),
        None => UNKNOWN,
    }
}

/// Types that a browser only shows and never runs: they may be shown inside a page's tab.
pub fn is_inert(media_type: &str) -> bool {
    let shown = ["image/", "audio/", "video/"];
    match media_type {
        "image/svg+xml" => false,
        "text/plain" | "application/pdf" => true,
        other => shown.iter().any(|kind| other.starts_with(kind)),
    }
}

fn extension(name: &str) -> String {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    ending.to_ascii_lowercase()
}

/// The beginning as text, when it is one: UTF-8 (cut anywhere) or UTF-16 with a mark, without control characters.
fn text_of(head: &[u8]) -> Option<String> {
    let utf16 = |read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = head[2..]
            .chunks_exact(2)
            .map(|pair| read([pair[0], pair[1]]))
            .collect();
        Some(String::from_utf16_lossy(&units))
    };
    let text = match head {
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes)?,
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes)?,
        _ => match std::str::from_utf8(head) {
            Ok(text) => text.to_owned(),
            // Cut within a character.
            Err(error) if error.error_len().is_none() => {
                String::from_utf8_lossy(&head[..error.valid_up_to()]).into_owned()
            }
            Err(_) => return latin(head),
        },
    };
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}');
    (!text.contains(odd)).then_some(text)
}

/// Texts of older encodings: no control characters of ASCII, mostly ASCII.
fn latin(head: &[u8]) -> Option<String> {
    let odd = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t' | 0x0c);
    let high = head.iter().filter(|byte| !byte.is_ascii()).count();
    let is_text = !head.iter().any(odd) && high * 3 < head.len();
    is_text.then(|| head.iter().map(|byte| char::from(*byte)).collect())
}

fn of_text(text: &str, name: &str) -> &'static str {
    let start = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let lower: String = start.chars().take(1024).collect::<String>().to_lowercase();
    if lower.starts_with("<svg") || lower.starts_with("<?xml") && lower.contains("<svg") {
        return "image/svg+xml";
    }
    let html = [
        "<!doctype html",
        "<html",
        "<head",
        "<body",
        "<script",
        "<iframe",
    ];
    if html.iter().any(|tag| lower.starts_with(tag)) || lower.contains("<script") {
        return "text/html";
    }
    text_type(&extension(name), &lower)
}

/// A text's type by its name's ending, where the content does not contradict.
fn text_type(extension: &str, lower: &str) -> &'static str {
    match extension {
        "csv" => "text/csv",
        "tsv" => "text/tab-separated-values",
        "md" | "markdown" => "text/markdown",
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "js" | "mjs" => "text/javascript",
        "yaml" | "yml" => "application/yaml",
        "json" if lower.is_empty() || lower.starts_with(['{', '[']) => "application/json",
        _ if lower.starts_with("<?xml") => "application/xml",
        _ => "text/plain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_whatever_the_name_says() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        assert_eq!(sniff(png, "a.txt"), "image/png");
        assert_eq!(sniff(b"%PDF-1.7\n", "a.csv"), "application/pdf");
        assert_eq!(sniff(b"<!DOCTYPE html><p>", "a.png"), "text/html");
        assert_eq!(sniff(b"hi <script>alert(1)</script>", "a.txt"), "text/html");
        let svg = b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>";
        assert_eq!(sniff(svg, "a.jpg"), "image/svg+xml");
        assert_eq!(sniff(&[0, 1, 2, 3], "a.txt"), UNKNOWN);
    }

    #[test]
    fn names_tell_texts_apart() {
        let cases = [
            ("a,b\n1,2\n", "x.csv", "text/csv"),
            ("# Title", "README.MD", "text/markdown"),
            ("{\"a\":1}", "a.json", "application/json"),
            ("a: 1", "a.json", "text/plain"),
            ("hello", "", "text/plain"),
            ("", "a.csv", "text/csv"),
        ];
        for (text, name, want) in cases {
            assert_eq!(sniff(text.as_bytes(), name), want, "{name}");
        }
        let cut = &"aä".as_bytes()[..2];
        assert_eq!(sniff(cut, "a"), "text/plain");
        assert_eq!(
            sniff(b"Gr\xfc\xdfe aus dem Ruhrgebiet", "a.txt"),
            "text/plain"
        );
        assert_eq!(sniff(b"\xff\xfeh\0i\0", "a.txt"), "text/plain");
    }

    #[test]
    fn what_runs_is_never_inert() {
        for active in [
            "text/html",
            "image/svg+xml",
            "text/javascript",
            "application/xml",
            UNKNOWN,
        ] {
            assert!(!is_inert(active), "{active}");
        }
        for inert in ["image/png", "application/pdf", "text/plain", "video/mp4"] {
            assert!(is_inert(inert), "{inert}");
        }
    }
}
