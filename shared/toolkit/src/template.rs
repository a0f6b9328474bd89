//! Texts that name secrets: `Bearer {{ secrets.NAME }}`. Nothing else is rendered.

use std::collections::{BTreeMap, BTreeSet};

/// Values of secrets by name.
pub type Values = BTreeMap<String, String>;

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Two braces that name no secret.
    #[error("only {{{{ secrets.NAME }}}} may stand between two braces")]
    NotASecret,
    /// A secret that there is not.
    #[error("there is no secret {0}")]
    Missing(String),
}

enum Part<'a> {
    Text(&'a str),
    Secret(&'a str),
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, Wrong> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inner, behind) = after.split_once("}}").ok_or(Wrong::NotASecret)?;
        let name = inner.trim().strip_prefix("secrets.");
        let name = name.filter(|name| is_secret_name(name));
        parts.push(Part::Text(before));
        parts.push(Part::Secret(name.ok_or(Wrong::NotASecret)?));
        rest = behind;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// Whether a text can be the name of a secret that a template names.
pub fn is_secret_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=100).contains(&name.len())
        && name.bytes().all(plain)
        && !name.as_bytes()[0].is_ascii_digit()
}

/// The secrets that a text names.
///
/// # Errors
/// Two braces that name no secret.
pub fn names(text: &str) -> Result<BTreeSet<String>, Wrong> {
    let parts = parts(text)?.into_iter();
    let names = parts.filter_map(|part| match part {
        Part::Secret(name) => Some(name.to_owned()),
        Part::Text(_) => None,
    });
    Ok(names.collect())
}

/// The text with the values of its secrets.
///
/// # Errors
/// A secret that there is not.
pub fn render(text: &str, values: &Values) -> Result<String, Wrong> {
    let mut rendered = String::new();
    for part in parts(text)? {
        match part {
            Part::Text(text) => rendered.push_str(text),
            Part::Secret(name) => {
                let value = values.get(name);
                rendered.push_str(value.ok_or_else(|| Wrong::Missing(name.to_owned()))?);
            }
        }
    }
    Ok(rendered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_and_put_in() {
        let text = "Key {{secrets.A}}, {{ secrets.B_2 }}!";
        assert_eq!(
            names(text).unwrap().into_iter().collect::<Vec<_>>(),
            ["A", "B_2"]
        );
        let values = Values::from([
            ("A".into(), "1".into()),
            ("B_2".into(), "{{ secrets.A }}".into()),
        ]);
        // What a secret says is not rendered again.
        assert_eq!(render(text, &values).unwrap(), "Key 1, {{ secrets.A }}!");
        assert_eq!(render("plain } {", &values).unwrap(), "plain } {");
        assert_eq!(
            render("{{ secrets.C }}", &values),
            Err(Wrong::Missing("C".into()))
        );
    }

    #[test]
    fn nothing_else_stands_between_braces() {
        for bad in [
            "{{ inputs.x }}",
            "{{ secrets. }}",
            "{{ secrets.A",
            "{{ secrets.1 }}",
            "{{ secrets.A | upper }}",
        ] {
            assert_eq!(names(bad), Err(Wrong::NotASecret), "{bad}");
        }
    }
}
