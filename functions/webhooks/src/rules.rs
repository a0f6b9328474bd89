//! Rules of a webhook's fields.

use nodeai_app::Cx;
use nodeai_app::inputs::is_uuid;
use nodeai_guard::{Refused, UrlGuard};
use nodeai_http::input::escape;
use nodeai_http::{Checker, FieldError, Problem};
use nodeai_webhook::{events, fields};
use std::collections::BTreeMap;
use url::Url;

/// Longest URL, as its column takes it.
const LONGEST_URL: usize = 2_000;

/// A URL by its form; whether it may be called, [`url_may_be_called`] says.
pub fn url(c: &mut Checker, text: &str) {
    url_at(c, text, "/url");
}

/// The same of a member elsewhere.
pub fn url_at(c: &mut Checker, text: &str, pointer: &str) {
    let parsed = Url::parse(text).ok().filter(|_| text.len() <= LONGEST_URL);
    let holds = parsed.is_some_and(|url| {
        url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
    });
    let detail = "must be a URL of at most 2000 characters without credentials and fragment";
    c.require(holds, pointer, "format", detail);
}

/// Known event types, each once.
pub fn event_types(c: &mut Checker, types: &[String]) {
    c.require(types.len() <= 50, "/event_types", "length", "at most 50");
    for (i, name) in types.iter().enumerate() {
        let pointer = format!("/event_types/{i}");
        let known = events::can_be_subscribed(name);
        let detail = "is not an event; GET /api/v1/webhooks/events lists them";
        c.require(known, &pointer, "unknown", detail);
        let once = !types[..i].contains(name);
        c.require(once, &pointer, "duplicate", "is there twice");
    }
}

/// Header fields that may go along.
pub fn headers(c: &mut Checker, headers: &BTreeMap<String, String>) {
    let few = headers.len() <= fields::MOST;
    c.require(few, "/headers", "length", "at most 20 fields");
    for (name, value) in headers {
        if let Err(refused) = fields::check(name, value) {
            let pointer = format!("/headers/{}", escape(name));
            c.report(FieldError::body(pointer, "invalid", refused.to_string()));
        }
    }
}

/// An id of a workflow.
pub fn workflow_id(c: &mut Checker, id: Option<&str>) {
    c.require(
        id.is_none_or(is_uuid),
        "/workflow_id",
        "format",
        "must be a UUID",
    );
}

/// Refuses a URL that must not be called: what it carries is confidential, so https or a host that the operator has
/// excepted, and no private address. Errors: 400 at `pointer`.
pub async fn url_may_be_called(cx: &Cx, text: &str, pointer: &str) -> Result<(), Problem> {
    let guard = UrlGuard::configured(&**cx.env()).await;
    let checked = Url::parse(text).map(|url| guard.check_confidential(&url));
    match checked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(refused)) => Err(at(pointer, "refused", &why(&refused))),
        Err(error) => Err(at(pointer, "format", &error.to_string())),
    }
}

/// Why a URL is not called, in words about events.
pub fn why(refused: &Refused) -> String {
    match refused {
        Refused::Plain => "events go to https:// URLs only".to_owned(),
        other => other.to_string(),
    }
}

fn at(pointer: &str, code: &str, detail: &str) -> Problem {
    Problem::fields(vec![FieldError::body(pointer, code, detail)])
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
    fn urls_have_no_credentials_and_no_fragment() {
        assert!(pointers(|c| url(c, "https://a.example/hooks?x=1")).is_empty());
        for bad in [
            "a.example",
            "https://u:p@a.example/",
            "https://a.example/#x",
        ] {
            assert_eq!(pointers(|c| url(c, bad)), ["/url"], "{bad}");
        }
    }

    #[test]
    fn each_wrong_event_and_field_has_its_pointer() {
        let types = ["run.failed", "run.failed", "nothing", "test"].map(str::to_owned);
        let wrong = pointers(|c| event_types(c, &types));
        assert_eq!(
            wrong,
            ["/event_types/1", "/event_types/2", "/event_types/3"]
        );
        let given = BTreeMap::from([("a/b".to_owned(), "x".to_owned())]);
        assert_eq!(pointers(|c| headers(c, &given)), ["/headers/a~1b"]);
    }
}
