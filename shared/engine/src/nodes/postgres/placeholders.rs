//! Values for `$1`, `$2`, …: each goes as text with a cast to the type that its JSON value has, so that no value can become
//! SQL and the driver need not know the types of the places.

use serde_json::Value;

use crate::log::NodeError;

/// The statement with casts, and the values as text.
///
/// # Errors
/// When a place has no value, or a value no place.
pub(super) fn typed(sql: &str, values: &[Value]) -> Result<(String, Vec<String>), NodeError> {
    let mut out = String::with_capacity(sql.len() + 16 * values.len());
    let mut used = vec![false; values.len()];
    let mut rest = sql;
    while !rest.is_empty() {
        let skip = opaque(rest).unwrap_or(0);
        if skip > 0 {
            out.push_str(&rest[..skip]);
            rest = &rest[skip..];
            continue;
        }
        match place(rest) {
            Some((number, length)) => {
                let value = number.checked_sub(1).and_then(|at| values.get(at));
                let value = value.ok_or_else(|| {
                    let given = values.len();
                    NodeError::config(format!("/sql: ${number} has no value; params has {given}"))
                })?;
                used[number - 1] = true;
                // Those without value are written out, so the others move up.
                let before = values[..number].iter().filter(|value| !value.is_null());
                out.push_str(&cast(before.count(), value));
                rest = &rest[length..];
            }
            None => {
                // A word goes whole: in a1$2 there is no place.
                let length = word(rest);
                out.push_str(&rest[..length]);
                rest = &rest[length..];
            }
        }
    }
    if let Some(at) = used.iter().position(|used| !used) {
        let message = format!("/params/{at}: the statement has no ${}", at + 1);
        return Err(NodeError::config(message));
    }
    Ok((out, values.iter().filter_map(text).collect()))
}

fn cast(number: usize, value: &Value) -> String {
    let kind = match value {
        // Without a type of its own it fits every place.
        Value::Null => return "NULL".to_owned(),
        Value::Bool(_) => "::boolean",
        Value::Number(number) if number.is_i64() => "::bigint",
        Value::Number(_) => "::numeric",
        Value::String(_) => "",
        Value::Array(_) | Value::Object(_) => "::jsonb",
    };
    format!("(${number}::text){kind}")
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// `$12` at the start: its number and length.
fn place(text: &str) -> Option<(usize, usize)> {
    let digits = text.strip_prefix('$')?;
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let number = digits[..length].parse().ok()?;
    Some((number, length + 1))
}

/// Of a word, its length; of anything else, of one character.
fn word(text: &str) -> usize {
    let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let first = text.chars().next().map_or(0, char::len_utf8);
    match text.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        true => text.find(|c| !inside(c)).unwrap_or(text.len()),
        false => first,
    }
}

/// The length of what begins here and in which `$1` is no place: strings, quoted names and comments
/// (<https://www.postgresql.org/docs/current/sql-syntax-lexical.html>). What has no end goes to the end.
fn opaque(text: &str) -> Option<usize> {
    let upto = |from: usize, end: &str| {
        let found = text[from..].find(end);
        found.map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("--") {
        return Some(upto(2, "\n"));
    }
    if text.starts_with("/*") {
        return Some(comment(text));
    }
    // E'…' alone knows backslashes.
    if let Some(prefix) = text.get(..2)
        && prefix.eq_ignore_ascii_case("e'")
    {
        return Some(escaped(text));
    }
    if text.starts_with('\'') {
        return Some(upto(1, "'"));
    }
    if text.starts_with('"') {
        return Some(upto(1, "\""));
    }
    let tag = text.strip_prefix('$')?;
    let end = tag.find('$')?;
    let name = &tag[..end];
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    is_name.then(|| upto(end + 2, &text[..end + 2]))
}

/// Comments nest.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let here = &text[at..];
        if here.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn escaped(text: &str) -> usize {
    let mut chars = text.char_indices().skip(2);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '\'' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
