//! An event as somebody reads it in a mail.

use crate::events::CATALOGUE;
use serde_json::{Map, Value};

/// Longest subject, characters.
const LONGEST_SUBJECT: usize = 150;
/// Longest value of a line, characters.
const LONGEST_VALUE: usize = 500;

/// A subject and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// Writes the letter of a payload: what happened, to what, and each member of its data on a line of its own.
pub fn letter(payload: &Value) -> Letter {
    let kind = payload["type"].as_str().unwrap_or("event");
    let data = payload["data"].as_object().cloned().unwrap_or_default();
    let what = CATALOGUE.iter().find(|event| event.name == kind);
    let what = what.map_or("Something happened", |event| event.description);
    let subject = match name(&data) {
        Some(name) => format!("[{kind}] {name}"),
        None => format!("[{kind}] {what}"),
    };
    let mut text = format!("{what}.\n");
    if let Some(at) = payload["timestamp"].as_str() {
        text += &format!("At {at}\n");
    }
    text.push('\n');
    lines(&data, "", &mut text);
    Letter {
        subject: cut(&subject, LONGEST_SUBJECT),
        text,
    }
}

/// What it is about, in the words of whoever named it.
fn name(data: &Map<String, Value>) -> Option<String> {
    let names = ["rule_name", "name", "slug", "message", "workflow_id"];
    let own = names.iter().find_map(|name| data.get(*name)?.as_str());
    let budget = || data.get("budget")?.get("name")?.as_str();
    own.or_else(budget).map(str::to_owned)
}

fn lines(data: &Map<String, Value>, above: &str, text: &mut String) {
    for (name, value) in data {
        let name = format!("{above}{name}").replace('_', " ");
        match value {
            Value::Null => {}
            Value::Object(inner) => lines(inner, &format!("{name}, "), text),
            Value::String(value) => *text += &format!("{name}: {}\n", cut(value, LONGEST_VALUE)),
            other => *text += &format!("{name}: {}\n", cut(&other.to_string(), LONGEST_VALUE)),
        }
    }
}

/// One line of at most so many characters.
fn cut(text: &str, most: usize) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut kept: String = plain.take(most + 1).collect();
    if kept.chars().count() > most {
        kept = kept.chars().take(most - 1).chain(['…']).collect();
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_event_makes_a_letter_of_one_subject_line() {
        for event in CATALOGUE {
            let made = letter(&event.example());
            assert!(made.subject.starts_with(&format!("[{}] ", event.name)));
            assert!(made.text.starts_with(event.description), "{}", made.text);
            assert!(!made.subject.contains('\n'));
        }
    }

    #[test]
    fn an_alert_says_its_rule_and_what_was_measured() {
        let alert = CATALOGUE.iter().find(|event| event.name == "alert.opened");
        let made = letter(&alert.unwrap().example());
        assert_eq!(made.subject, "[alert.opened] Too many failures");
        assert!(
            made.text.contains("details, value: 0.25\n"),
            "{}",
            made.text
        );
        assert!(!made.text.contains("resolved at"), "{}", made.text);
    }

    #[test]
    fn nobody_writes_a_header_with_a_name() {
        let odd =
            json!({"type": "alert.opened", "data": {"rule_name": "x\r\nBcc: eve@example.com"}});
        assert_eq!(
            letter(&odd).subject,
            "[alert.opened] x  Bcc: eve@example.com"
        );
        let long = json!({"type": "test", "data": {"name": "é".repeat(400)}});
        assert_eq!(letter(&long).subject.chars().count(), LONGEST_SUBJECT);
    }
}
