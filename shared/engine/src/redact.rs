//! Blanks secrets by value, wherever they turn up, also as base64 and percent-encoded.

use serde_json::{Map, Value};

/// What stands in the place of a secret.
pub const BLANK: &str = "[redacted]";
/// Shorter values would blank half the text.
const SHORTEST: usize = 4;

/// Knows the secrets of one run.
#[derive(Clone, Default)]
pub struct Redactor {
    needles: Vec<String>,
}

impl Redactor {
    /// Adds a secret's value and its encoded forms.
    pub fn add(&mut self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let mut forms = vec![
            secret.to_owned(),
            percent_encoded(secret),
            json_escaped(secret),
        ];
        for offset in 0..3 {
            let core = base64_core(secret.as_bytes(), offset);
            forms.push(core.replace('+', "-").replace('/', "_"));
            forms.push(core);
        }
        forms.retain(|form| form.len() >= SHORTEST && !self.needles.contains(form));
        forms.dedup();
        self.needles.extend(forms);
        // Longest first, so that no part of a longer one is left over.
        self.needles
            .sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    }

    /// Whether there is nothing to blank.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// Blanks a text.
    pub fn text(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for needle in self
            .needles
            .iter()
            .filter(|needle| text.contains(needle.as_str()))
        {
            out = out.replace(needle.as_str(), BLANK);
        }
        out
    }

    /// Blanks every string of a value, names of fields too.
    pub fn value(&self, value: Value) -> Value {
        if self.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => {
                let pairs = map
                    .into_iter()
                    .map(|(name, value)| (self.text(&name), self.value(value)));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
            other => other,
        }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Redactor({} forms)", self.needles.len())
    }
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let parts = text.bytes().map(|byte| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    parts.collect()
}

fn json_escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The base64 digits that depend on the secret alone when it starts `offset` bytes into a
/// group of three, as in `user:secret`.
fn base64_core(secret: &[u8], offset: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let padded: Vec<u8> = std::iter::repeat_n(0, offset)
        .chain(secret.iter().copied())
        .collect();
    let bits = padded.len() * 8;
    let first = (offset * 8).div_ceil(6);
    let digits = (first..bits / 6).map(|digit| {
        let bit = digit * 6;
        let pair =
            u16::from(padded[bit / 8]) << 8 | u16::from(*padded.get(bit / 8 + 1).unwrap_or(&0));
        char::from(DIGITS[usize::from(pair >> (10 - bit % 8) & 0x3f)])
    });
    digits.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redactor() -> Redactor {
        let mut redactor = Redactor::default();
        redactor.add("s3cr3t/+\"x");
        redactor
    }

    #[test]
    fn blanks_every_form() {
        for text in [
            "a s3cr3t/+\"x b",
            "a s3cr3t%2F%2B%22x b",
            // base64 of `s3cr3t/+"x`, of `u:` and of `me:` before it.
            "czNjcjN0LysieA==",
            "dTpzM2NyM3QvKyJ4",
            "bWU6czNjcjN0LysieA==",
        ] {
            let blanked = redactor().text(text);
            assert!(blanked.contains(BLANK), "{text} -> {blanked}");
            assert!(
                !blanked.contains("cr3t") && !blanked.contains("NjcjN0Ly"),
                "{blanked}"
            );
        }
    }

    #[test]
    fn reaches_into_values() {
        let value = json!({"a": ["x s3cr3t/+\"x"], "s3cr3t/+\"x": 1});
        assert_eq!(
            redactor().value(value),
            json!({"a": ["x [redacted]"], "[redacted]": 1})
        );
    }

    #[test]
    fn leaves_the_rest_alone() {
        assert_eq!(redactor().text("secret"), "secret");
        let mut short = Redactor::default();
        short.add("a");
        assert!(short.is_empty());
    }
}
