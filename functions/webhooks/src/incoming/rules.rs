//! Rules of an incoming webhook's fields.

use nodeai_app::inputs::is_uuid;
use nodeai_http::{Checker, FieldError};
use nodeai_webhook::inbound::Scheme;
use nodeai_webhook::inbound::delivery::IdFrom;
use nodeai_webhook::inbound::pattern::Pattern;

/// Methods that can start a run.
pub const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Either a workflow, maybe at a version, or a deployment.
pub fn target(
    c: &mut Checker,
    workflow_id: Option<&str>,
    version: Option<i64>,
    deployment_id: Option<&str>,
) {
    let one = workflow_id.is_some() != deployment_id.is_some();
    let detail = "give either workflow_id or deployment_id";
    c.require(one, "/workflow_id", "one_of", detail);
    for (pointer, id) in [
        ("/workflow_id", workflow_id),
        ("/deployment_id", deployment_id),
    ] {
        let uuid = id.is_none_or(is_uuid);
        c.require(uuid, pointer, "format", "must be a UUID");
    }
    let fits =
        version.is_none_or(|v| (1..=i64::from(i32::MAX)).contains(&v) && workflow_id.is_some());
    let detail = "goes with workflow_id and starts at 1";
    c.require(fits, "/workflow_version", "range", detail);
}

/// What follows in the path.
pub fn pattern(c: &mut Checker, text: &str) {
    let short = text.len() <= 200;
    c.require(short, "/pattern", "length", "at most 200 characters");
    if let Err(error) = Pattern::parse(text) {
        c.report(FieldError::body("/pattern", "format", error.to_string()));
    }
}

/// At least one method, each once.
pub fn methods(c: &mut Checker, methods: &[String]) {
    c.require(!methods.is_empty(), "/methods", "length", "at least one");
    for (i, method) in methods.iter().enumerate() {
        let known = METHODS.contains(&method.as_str()) && !methods[..i].contains(method);
        let detail = "one of GET, POST, PUT, PATCH and DELETE, each once";
        c.require(known, &format!("/methods/{i}"), "unknown", detail);
    }
}

/// How senders are verified.
pub fn verification(c: &mut Checker, scheme: &Scheme) {
    if let Some(fault) = scheme.fault() {
        let pointer = format!("/verification/{}", fault.field);
        c.report(FieldError::body(pointer, "invalid", fault.detail));
    }
}

/// Where a delivery's id is.
pub fn delivery_id_from(c: &mut Checker, from: Option<&IdFrom>) {
    let holds = from.is_none_or(IdFrom::holds);
    let detail = "a header field's name, or a JSON pointer that begins with a slash";
    c.require(holds, "/delivery_id_from", "format", detail);
}

/// How long a delivery is known, seconds.
pub fn window(c: &mut Checker, seconds: Option<i64>) {
    let holds = seconds.is_none_or(|s| (60..=2_592_000).contains(&s));
    let detail = "must be from 60 seconds to 30 days";
    c.require(holds, "/dedupe_window_s", "range", detail);
}

/// Requests per minute.
pub fn rate(c: &mut Checker, per_minute: Option<i64>) {
    let holds = per_minute.is_none_or(|n| (1..=60_000).contains(&n));
    c.require(
        holds,
        "/rate_per_minute",
        "range",
        "must be from 1 to 60000",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(check: impl Fn(&mut Checker)) -> Vec<String> {
        let mut c = Checker::default();
        check(&mut c);
        let problem = c.finish().err();
        let errors = problem.map(|p| p.errors).unwrap_or_default();
        errors.into_iter().filter_map(|e| e.pointer).collect()
    }

    #[test]
    fn a_webhook_runs_one_thing() {
        let id = "01900000-0000-7000-8000-000000000000";
        let wrong = |w, v, d| pointers(|c| target(c, w, v, d));
        assert!(wrong(Some(id), Some(3), None).is_empty());
        assert!(wrong(None, None, Some(id)).is_empty());
        assert_eq!(wrong(None, None, None), ["/workflow_id"]);
        assert_eq!(wrong(Some(id), None, Some(id)), ["/workflow_id"]);
        assert_eq!(
            wrong(Some("x"), Some(0), None),
            ["/workflow_id", "/workflow_version"]
        );
        assert_eq!(wrong(None, Some(1), Some(id)), ["/workflow_version"]);
    }

    #[test]
    fn each_wrong_field_has_its_pointer() {
        let given = ["POST", "HEAD", "POST"].map(str::to_owned);
        assert_eq!(
            pointers(|c| methods(c, &given)),
            ["/methods/1", "/methods/2"]
        );
        assert_eq!(pointers(|c| pattern(c, "a//b")), ["/pattern"]);
        let scheme = Scheme::Stripe { tolerance_s: 0 };
        let wrong = pointers(|c| verification(c, &scheme));
        assert_eq!(wrong, ["/verification/tolerance_s"]);
    }
}
