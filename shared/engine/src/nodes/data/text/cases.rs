//! Upper and lower case by words, and slugs.

/// The first letter of each word in upper case, the rest in lower case.
pub(super) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for c in text.chars() {
        if in_word {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        in_word = c.is_alphanumeric() || c == '\'' || c == '’';
    }
    out
}

/// The first letter in upper case, the rest as it is.
pub(super) fn capitalize(text: &str) -> String {
    let mut rest = text.chars();
    match rest.next() {
        Some(first) => first.to_uppercase().chain(rest).collect(),
        None => String::new(),
    }
}

/// The words of a text or of an identifier in lower case: `parseHTTPResponse` has three.
fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().filter(|c| !matches!(c, '\'' | '’')).collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (at, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            words.push(std::mem::take(&mut word));
            continue;
        }
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after_lower = before.is_some_and(|b| b.is_lowercase() || b.is_numeric());
        let starts_last = before.is_some_and(char::is_uppercase)
            && chars.get(at + 1).is_some_and(|a| a.is_lowercase());
        if c.is_uppercase() && (after_lower || starts_last) {
            words.push(std::mem::take(&mut word));
        }
        word.extend(c.to_lowercase());
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// `camelCase`.
pub(super) fn camel(text: &str) -> String {
    let words = words(text).into_iter().enumerate();
    words
        .map(|(at, word)| if at == 0 { word } else { capitalize(&word) })
        .collect()
}

/// `snake_case` or `kebab-case`.
pub(super) fn joined(text: &str, by: &str) -> String {
    words(text).join(by)
}

/// For a URL: letters without accents and digits, in lower case, words joined by `-`. Letters of other scripts stay.
pub(super) fn slug(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut count = 0;
    let mut gap = false;
    for c in text.chars().flat_map(char::to_lowercase) {
        if matches!(c, '\'' | '’') {
            continue;
        }
        if !c.is_alphanumeric() {
            gap = true;
            continue;
        }
        let gap_here = std::mem::take(&mut gap) && !out.is_empty();
        let mut own = [0; 4];
        let plain = plain(c).unwrap_or_else(|| c.encode_utf8(&mut own));
        let more = plain.chars().count() + usize::from(gap_here);
        if count + more > most {
            break;
        }
        if gap_here {
            out.push('-');
        }
        out.push_str(plain);
        count += more;
    }
    out
}

/// Latin letters without their accents (Latin-1 Supplement and Latin Extended-A).
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'ĳ' => "ij",
        'ĵ' => "j",
        'ķ' | 'ĸ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' | 'ŋ' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => "o",
        'œ' => "oe",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'þ' => "th",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => return None,
    })
}
