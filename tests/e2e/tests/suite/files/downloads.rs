//! Ranges, conditions, and how browsers are told to treat a file.

use super::{bytes, content, path_of, stored};
use crate::suite::app;
use e2e::{assert_problem, assert_status};
use reqwest::Method;

#[test]
fn a_range_is_that_part() {
    let me = app().tenant();
    let sent = bytes((1 << 20) + 5_000);
    let file = stored(&me, "a.bin", &sent);
    let size = sent.len();
    let edge = 1 << 20;
    for (first, last) in [
        (0, 0),
        (0, 499),
        (edge - 10, edge + 10),
        (size - 1, size - 1),
    ] {
        let range = format!("bytes={first}-{last}");
        let part = content(&me, &file, &[("range", &range)]);
        assert_status(&part, 206);
        assert_eq!(
            part.header("content-range"),
            format!("bytes {first}-{last}/{size}")
        );
        assert!(part.bytes == sent[first..=last], "{range}");
    }
    let tail = content(&me, &file, &[("range", "bytes=-100")]);
    assert!(tail.bytes == sent[size - 100..]);
    let beyond = content(&me, &file, &[("range", &format!("bytes={size}-"))]);
    assert_problem(&beyond, 416, "range-not-satisfiable");
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
    let several = content(&me, &file, &[("range", "bytes=0-1,5-6")]);
    assert_eq!((several.status, several.bytes.len()), (200, size));
}

#[test]
fn conditions_are_asked_first() {
    let me = app().tenant();
    let file = stored(&me, "a.txt", b"hello");
    let whole = content(&me, &file, &[]);
    let etag = whole.header("etag").to_owned();
    let modified = whole.header("last-modified").to_owned();
    for (name, value) in [("if-none-match", &etag), ("if-modified-since", &modified)] {
        let same = content(&me, &file, &[(name, value)]);
        assert_eq!((same.status, same.bytes.len()), (304, 0), "{name}");
        assert_eq!(same.header("etag"), etag);
    }
    let other = content(&me, &file, &[("if-match", "\"x\"")]);
    assert_problem(&other, 412, "stale-version");
    let range = ("range", "bytes=0-1");
    let part = content(&me, &file, &[range, ("if-range", &etag)]);
    assert_eq!((part.status, part.text.as_str()), (206, "he"));
    let all = content(&me, &file, &[range, ("if-range", "\"x\"")]);
    assert_eq!((all.status, all.text.as_str()), (200, "hello"));
}

#[test]
fn head_says_what_get_would() {
    let me = app().tenant();
    let file = stored(&me, "a.txt", b"hello");
    let path = format!("{}/content", path_of(&file));
    let head = me.send(Method::HEAD, &path, &[], Vec::new());
    assert_status(&head, 200);
    assert_eq!(head.header("content-length"), "5");
    assert_eq!(head.header("accept-ranges"), "bytes");
    assert!(head.bytes.is_empty());
}

#[test]
fn what_could_run_is_never_shown() {
    let me = app().tenant();
    let cases: [(&str, &[u8], bool); 3] = [
        ("a.html", b"<!DOCTYPE html><script>alert(1)</script>", false),
        (
            "a.svg",
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            false,
        ),
        ("a.txt", b"plain", true),
    ];
    for (name, sent, shown) in cases {
        let file = stored(&me, name, sent);
        let path = format!("{}/content?inline=true", path_of(&file));
        let reply = me.get(&path);
        let disposition = reply.header("content-disposition").to_owned();
        assert_eq!(
            disposition.starts_with("inline"),
            shown,
            "{name}: {disposition}"
        );
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert!(reply.header("content-security-policy").contains("sandbox"));
    }
    let file = stored(&me, "a.txt", b"x");
    let renamed = me.patch(
        &path_of(&file),
        &serde_json::json!({"name": "Bücher €.txt"}),
    );
    assert_status(&renamed, 200);
    let disposition = content(&me, &file, &[])
        .header("content-disposition")
        .to_owned();
    assert_eq!(
        disposition,
        "attachment; filename=\"B_cher _.txt\"; filename*=UTF-8''B%C3%BCcher%20%E2%82%AC.txt"
    );
}
