//! `Content-Disposition` (RFC 6266) with a name in any language (RFC 8187).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but `attr-char` of RFC 8187, section 3.2.1.
const NOT_ATTR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The field's value: `attachment` unless `inline`; both forms of the name where the plain one is not all of it.
pub fn write(inline: bool, name: &str) -> String {
    let kind = if inline { "inline" } else { "attachment" };
    let plain: String = name
        .chars()
        .map(|c| match c {
            '"' | '\\' | '%' => '_',
            c if c.is_ascii_graphic() || c == ' ' => c,
            _ => '_',
        })
        .collect();
    match plain == name {
        true => format!("{kind}; filename=\"{plain}\""),
        false => {
            let encoded = utf8_percent_encode(name, NOT_ATTR);
            format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
        }
    }
}

/// The name that a request's field gives; `filename*` wins.
pub fn name_in(value: &str) -> Option<String> {
    let parameters = || {
        value
            .split(';')
            .skip(1)
            .filter_map(|p| p.trim().split_once('='))
    };
    let named = |wanted: &str| {
        let found = parameters().find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim())
    };
    if let Some(encoded) = named("filename*") {
        let (charset, rest) = encoded.split_once('\'')?;
        let (_, text) = rest.split_once('\'')?;
        let utf8 = charset.eq_ignore_ascii_case("utf-8");
        return utf8.then(|| {
            percent_decode_str(text)
                .decode_utf8()
                .ok()
                .map(String::from)
        })?;
    }
    named("filename").map(|text| text.trim_matches('"').replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_have_one_form() {
        assert_eq!(write(false, "a b.txt"), "attachment; filename=\"a b.txt\"");
    }

    #[test]
    fn others_have_two() {
        // RFC 8187, section 3.2.3: the pound and euro signs.
        assert_eq!(
            write(true, "£ and € rates.pdf"),
            "inline; filename=\"_ and _ rates.pdf\"; filename*=UTF-8''%C2%A3%20and%20%E2%82%AC%20rates.pdf"
        );
    }

    #[test]
    fn a_name_cannot_end_its_field() {
        let value = write(false, "a\"; filename=\"evil.exe\r\nx: y");
        assert!(!value.contains(['\r', '\n']));
        assert!(value.starts_with("attachment; filename=\"a_; filename=_evil.exe__x: y\""));
    }

    #[test]
    fn names_are_read_back() {
        for name in ["a b.txt", "£ and € rates.pdf", "財務.xlsx"] {
            assert_eq!(name_in(&write(false, name)).as_deref(), Some(name));
        }
        assert_eq!(name_in("attachment"), None);
        assert_eq!(
            name_in("attachment; filename=a.txt").as_deref(),
            Some("a.txt")
        );
    }
}
