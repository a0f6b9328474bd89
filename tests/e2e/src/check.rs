//! Checks that say what came instead.

use crate::Reply;

/// The reply has this status.
#[track_caller]
pub fn assert_status(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{}", reply.text);
}

/// The reply is an RFC 9457 problem of this kind, with the trace id, and leaks no SQL.
#[track_caller]
pub fn assert_problem(reply: &Reply, status: u16, slug: &str) {
    assert_status(reply, status);
    assert_eq!(
        reply.header("content-type"),
        "application/problem+json",
        "{}",
        reply.text
    );
    let kind = reply.json["type"].as_str().unwrap_or_default();
    assert_eq!(kind.rsplit('/').next(), Some(slug), "{}", reply.text);
    assert_eq!(reply.json["status"], status);
    let trace_id = reply.json["trace_id"].as_str().unwrap_or_default();
    assert_eq!(trace_id.len(), 32, "{}", reply.text);
    assert_eq!(reply.header("x-trace-id"), trace_id);
    let text = reply.text.to_ascii_lowercase();
    for leak in ["select ", "insert ", "sqlstate", "relation \"", "pg_"] {
        assert!(!text.contains(leak), "a leak of SQL: {}", reply.text);
    }
}
