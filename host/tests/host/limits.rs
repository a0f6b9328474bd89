//! Components that spin, leak, trap or never answer: the request ends, the host lives, the span is kept.

use crate::support::App;
use http::Request;

#[test]
fn limits_end_requests_and_nothing_else() {
    let app = App::new();
    let host = app.start(&["--ephemeral", "--request-timeout", "1", "--memory-mb", "32"]);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let spin = Request::get(format!("{}/spin", host.url))
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    let (status, problem) = host.send(spin, "".into());
    assert_eq!(status, 504);
    assert!(problem.contains(trace), "{problem}");
    assert_eq!(host.get("/leak").0, 503);
    assert_eq!(host.get("/wait?20000").0, 504);
    assert_eq!(host.get("/trap").0, 500);
    assert_eq!(host.get("/healthz"), (200, "ok".to_owned()));
    let spans = std::fs::read_to_string(app.path().join(".nodeai/spans/host.jsonl")).unwrap();
    assert_eq!(spans.lines().count(), 4);
    assert!(spans.lines().next().unwrap().contains(trace));
}

#[test]
fn a_stream_that_is_alive_outlives_the_request_limit() {
    let app = App::new();
    let host = app.start(&["--ephemeral", "--request-timeout", "0.5"]);
    let (status, events) = host.get("/stream?60");
    assert_eq!((status, events.matches("data:").count()), (200, 60));
}

#[test]
fn a_stream_ends_at_its_own_limit() {
    let app = App::new();
    let host = app.start(&["--ephemeral", "--stream-timeout", "0.5"]);
    host.get_and_leave("/stream", 3);
    let pieces = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| host.get("/stream")));
    assert!(
        pieces.is_err(),
        "the body must not look as if it were whole"
    );
    host.wait_for_line("the function ended while its response streamed");
    assert_eq!(host.get("/healthz").0, 200);
}

#[test]
fn a_trap_in_a_stream_is_not_taken_for_its_end() {
    let app = App::new();
    let host = app.ephemeral();
    let pieces =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| host.get("/stream-trap")));
    assert!(
        pieces.is_err(),
        "the body must not look as if it were whole"
    );
    assert_eq!(host.get("/healthz").0, 200);
}

#[test]
fn past_the_cap_requests_are_told_to_come_back() {
    let app = App::new();
    let host = app.start(&["--ephemeral", "--concurrency", "1"]);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| host.get("/wait?3000"));
        let second = scope.spawn(|| host.get("/wait?3000"));
        let mut statuses = [first.join().unwrap().0, second.join().unwrap().0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 503]);
    });
}
