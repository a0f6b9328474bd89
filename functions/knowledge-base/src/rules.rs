//! Rules that several routes share.

use nodeai_app::Cx;
use nodeai_app::inputs::is_uuid;
use nodeai_http::{Checker, FieldError, Problem};
use nodeai_knowledge::Fault;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Most characters of a document: what the text of a file has at most.
pub const MOST_CONTENT: usize = 4_000_000;

/// Reports what a pure crate found wrong.
pub fn report(c: &mut Checker, faults: Vec<Fault>) {
    for fault in faults {
        c.report(field(fault));
    }
}

/// What is wrong as a problem.
pub fn problem(faults: Vec<Fault>) -> Problem {
    Problem::fields(faults.into_iter().map(field).collect())
}

fn field(fault: Fault) -> FieldError {
    FieldError::body(fault.pointer, fault.code, fault.detail)
}

/// Metadata: an object of at most 16 KiB.
pub fn metadata(c: &mut Checker, given: &Map<String, Value>, pointer: &str) {
    let size = serde_json::to_string(given).map_or(usize::MAX, |text| text.len());
    c.require(size <= 16_384, pointer, "length", "at most 16384 bytes");
}

/// Labels of those that may find a document, or that a search is for. `*` is for searches alone.
pub fn access(c: &mut Checker, given: Option<&Vec<String>>, star: bool, pointer: &str) {
    let Some(labels) = given else { return };
    let fits = |label: &String| (1..=200).contains(&label.chars().count()) && !label.contains('\0');
    let some = (1..=100).contains(&labels.len()) && labels.iter().all(fits);
    let detail = "1 to 100 labels of 1 to 200 characters";
    c.require(some, pointer, "length", detail);
    let free = star || labels.iter().all(|label| label != "*");
    let detail = "a document for everybody has no labels";
    c.require(free, pointer, "reserved", detail);
}

/// Text of a document.
pub fn content(c: &mut Checker, text: &str, pointer: &str) {
    let some = !text.trim().is_empty() && text.chars().count() <= MOST_CONTENT;
    let detail = "1 to 4000000 characters, not only blanks";
    c.require(some, pointer, "length", detail);
}

/// A path parameter that is a UUID. Errors: 404.
pub fn path_uuid(cx: &Cx, name: &str, what: &str) -> Result<String, Problem> {
    let text = cx.parameter(name).unwrap_or_default();
    match is_uuid(text) {
        true => Ok(text.to_lowercase()),
        false => Err(Problem::not_found(format!("there is no such {what}"))),
    }
}

/// SHA-256 of a text, hex.
pub fn hash(text: &str) -> String {
    nodeai_app::clock::hex(&Sha256::digest(text.as_bytes()))
}

/// PostgreSQL's texts have no U+0000.
pub fn storable(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}"),
        false => text,
    }
}
