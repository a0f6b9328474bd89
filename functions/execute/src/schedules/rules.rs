//! Rules of a schedule's fields.

use nodeai_app::clock;
use nodeai_app::inputs::is_uuid;
use nodeai_http::{Checker, FieldError};
use nodeai_schedule::{Error, Timetable};

/// Longest jitter, ms: an hour.
const MOST_JITTER_MS: u32 = 3_600_000;

/// An expression and a zone, each as far as it is given.
pub fn timing(c: &mut Checker, cron: Option<&str>, zone: Option<&str>) {
    let parsed = Timetable::parse(cron.unwrap_or("* * * * *"), zone.unwrap_or("UTC"));
    match parsed {
        Err(Error::Zone(_)) => {
            let detail = "is not a time zone of the IANA database, such as Europe/Berlin";
            c.report(FieldError::body("/time_zone", "unknown", detail));
            if cron.is_some() {
                timing(c, cron, None);
            }
        }
        Err(error) => c.report(FieldError::body("/cron", "format", error.to_string())),
        Ok(_) => {}
    }
}

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

/// Times of which the second is behind the first.
pub fn bounds(c: &mut Checker, starts_at: Option<&str>, ends_at: Option<&str>) {
    let mut read = |pointer: &str, text: Option<&str>| {
        let at = text.map(clock::parse_rfc3339);
        let holds = at != Some(None);
        c.require(holds, pointer, "format", "must be a time in RFC 3339");
        at.flatten()
    };
    let (starts, ends) = (read("/starts_at", starts_at), read("/ends_at", ends_at));
    if let (Some(starts), Some(ends)) = (starts, ends) {
        let behind = starts < ends;
        c.require(behind, "/ends_at", "range", "must be behind starts_at");
    }
}

/// How much later a run may start.
pub fn jitter(c: &mut Checker, ms: Option<u32>) {
    let holds = ms.is_none_or(|ms| ms <= MOST_JITTER_MS);
    c.require(holds, "/jitter_ms", "range", "must be at most an hour");
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
    fn each_wrong_field_has_its_pointer() {
        let wrong = |cron, zone| pointers(|c| timing(c, cron, zone));
        assert!(wrong(Some("0 9 * * 1-5"), Some("Europe/Berlin")).is_empty());
        assert_eq!(wrong(Some("0 9 * *"), None), ["/cron"]);
        assert_eq!(wrong(Some("0 9 30 2 *"), Some("UTC")), ["/cron"]);
        assert_eq!(
            wrong(Some("x"), Some("Mars/Olympus")),
            ["/time_zone", "/cron"]
        );
        let early = Some("2026-01-01T00:00:00Z");
        assert_eq!(pointers(|c| bounds(c, early, early)), ["/ends_at"]);
        assert_eq!(pointers(|c| bounds(c, Some("soon"), early)), ["/starts_at"]);
        assert_eq!(pointers(|c| jitter(c, Some(3_600_001))), ["/jitter_ms"]);
        assert_eq!(pointers(|c| target(c, None, None, None)), ["/workflow_id"]);
    }
}
