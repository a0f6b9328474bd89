//! Spin's `{{ name }}` templates, as they stand in `spin.toml`.
use anyhow::{Result, bail};

/// Replaces each `{{ name }}` in `text` with what `lookup` gives for the name.
///
/// # Errors
/// When a brace pair is not closed, or `lookup` fails for a name.
pub fn render(text: &str, mut lookup: impl FnMut(&str) -> Result<String>) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        out.push_str(&rest[..start]);
        let Some((name, after)) = rest[start + 2..].split_once("}}") else {
            bail!("unmatched '{{{{' in template {text:?}");
        };
        out.push_str(&lookup(name.trim())?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(name: &str) -> Result<String> {
        match name {
            "host" => Ok("db.example".into()),
            other => bail!("no {other}"),
        }
    }

    #[test]
    fn replaces_names_and_keeps_the_rest() {
        assert_eq!(
            render("https://{{ host }}:5432", fixed).unwrap(),
            "https://db.example:5432"
        );
        assert_eq!(
            render("{{host}}{{ host}}", fixed).unwrap(),
            "db.exampledb.example"
        );
        assert_eq!(render("plain }} text", fixed).unwrap(), "plain }} text");
    }

    #[test]
    fn refuses_open_braces_and_unknown_names() {
        assert!(render("{{ host", fixed).is_err());
        assert!(render("{{ nope }}", fixed).is_err());
    }
}
