//! Rules of templates and candidates, and how they become a trial.

use nodeai_http::{Checker, FieldError, Problem};
use nodeai_prompts::{Candidate, Rendered, Settings, Template};
use serde_json::{Map, Value};

/// Most models of a trial, rows of variables, and answers in all.
const MODELS: usize = 8;
const ROWS: usize = 50;
const ANSWERS: usize = 100;
/// Most bytes of a template.
const BYTES: usize = 500_000;

/// A template's shape; whether its texts render is seen when they do.
pub fn template(c: &mut Checker, template: &Template, at: &str) {
    let some = (1..=100).contains(&template.messages.len());
    c.require(
        some,
        &format!("{at}/messages"),
        "length",
        "1 to 100 messages",
    );
    for (i, message) in template.messages.iter().enumerate() {
        let pointer = format!("{at}/messages/{i}/images");
        c.require(
            message.images.len() <= 20,
            &pointer,
            "too_many",
            "at most 20",
        );
    }
    let few = template.tools.len() <= 128;
    c.require(few, &format!("{at}/tools"), "too_many", "at most 128");
    for (i, tool) in template.tools.iter().enumerate() {
        let pointer = format!("{at}/tools/{i}");
        let named = tool["name"].as_str().is_some_and(|name| !name.is_empty());
        c.require(named, &pointer, "format", "a tool has a name");
        // It goes into the run's document, where braces would be a template once more.
        let plain = !has_braces(tool);
        c.require(
            plain,
            &pointer,
            "template",
            "variables do not stand in tools",
        );
    }
    let plain = template
        .response_format
        .as_ref()
        .is_none_or(|format| !has_braces(format));
    let pointer = format!("{at}/response_format");
    c.require(
        plain,
        &pointer,
        "template",
        "variables do not stand in response_format",
    );
    settings(c, &template.settings, &format!("{at}/settings"));
    let size = serde_json::to_string(template).map_or(usize::MAX, |text| text.len());
    c.require(size <= BYTES, at, "length", "at most 500000 bytes");
}

fn has_braces(value: &Value) -> bool {
    let text = value.to_string();
    ["{{", "{%", "{#"].iter().any(|open| text.contains(open))
}

fn settings(c: &mut Checker, settings: &Settings, at: &str) {
    let within = |value: Option<f64>, most: f64| value.is_none_or(|v| (0.0..=most).contains(&v));
    let warm = within(settings.temperature, 2.0);
    c.require(warm, &format!("{at}/temperature"), "out_of_range", "0 to 2");
    let top = within(settings.top_p, 1.0);
    c.require(top, &format!("{at}/top_p"), "out_of_range", "0 to 1");
    let most = settings
        .max_tokens
        .is_none_or(|n| (1..=1_000_000).contains(&n));
    c.require(
        most,
        &format!("{at}/max_tokens"),
        "out_of_range",
        "1 to 1000000",
    );
    c.require(
        settings.stop.len() <= 8,
        &format!("{at}/stop"),
        "too_many",
        "at most 8",
    );
}

/// Models to ask.
pub fn candidates(c: &mut Checker, candidates: &[Candidate], rows: usize) {
    let some = (1..=MODELS).contains(&candidates.len());
    c.require(some, "/models", "length", "1 to 8 models");
    c.require(
        rows <= ROWS,
        "/rows",
        "length",
        "at most 50 rows of variables",
    );
    let answers = candidates.len().saturating_mul(rows.max(1)) <= ANSWERS;
    c.require(answers, "/rows", "too_many", "at most 100 answers in all");
    for (i, candidate) in candidates.iter().enumerate() {
        let at = format!("/models/{i}");
        c.length(&candidate.model, 3, 256, &format!("{at}/model"));
        let texts = [Some(&candidate.model), candidate.base_url.as_ref()];
        let plain = texts
            .into_iter()
            .flatten()
            .all(|text| !text.contains(['{', '}']));
        c.require(
            plain,
            &at,
            "template",
            "a model is written without variables",
        );
        let named = candidate.key_secret.as_deref().is_none_or(is_name);
        let pointer = format!("{at}/key_secret");
        c.require(
            named,
            &pointer,
            "format",
            "a secret's name: letters, digits, _",
        );
        settings(c, &candidate.settings, &format!("{at}/settings"));
    }
}

fn is_name(name: &str) -> bool {
    let first = name
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && name.len() <= 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The template for each row of variables; one without rows. Errors: 400 with the places that cannot be filled in.
pub fn rendered(
    template: &Template,
    rows: &[Map<String, Value>],
) -> Result<Vec<Rendered>, Problem> {
    let none = [Map::new()];
    let rows = match rows.is_empty() {
        true => &none[..],
        false => rows,
    };
    let mut all = Vec::with_capacity(rows.len());
    for (i, row) in rows.iter().enumerate() {
        let made = template.render(row).map_err(|faults| {
            let wrong = faults.into_iter().map(|fault| {
                let pointer = format!("/prompt{}", fault.pointer);
                let detail = format!("with the variables of row {i}: {}", fault.message);
                FieldError::body(pointer, "template", detail)
            });
            Problem::fields(wrong.collect())
        })?;
        all.push(made);
    }
    Ok(all)
}
