//! What a component sees of requests and of the world, through the built host.

use crate::support::App;
use http::Request;

#[test]
fn components_learn_how_they_were_reached() {
    let app = App::new();
    let host = app.ephemeral();
    let (status, headers) = host.get("/headers?a=b");
    assert_eq!(status, 200);
    assert!(headers.contains("spin-path-info=/headers\n"), "{headers}");
    assert!(headers.contains("spin-matched-route=/...\n"), "{headers}");
    assert!(
        headers.contains(&format!("spin-full-url={}/headers?a=b\n", host.url)),
        "{headers}"
    );
    assert_eq!(
        host.get("/named/7/who").0,
        404,
        "the named route goes to the same component, with its whole path"
    );
    assert_eq!(host.get("/var?greeting").1, "hello there");
    assert_eq!(host.get("/var?missing").0, 500);
    assert_eq!(host.get("/.well-known/spin/health").1, "OK");
    assert!(host.stop());
}

#[test]
fn bodies_stream_both_ways() {
    let app = App::new();
    let host = app.ephemeral();
    let body = "0123456789abcdef".repeat(1 << 18);
    assert_eq!(host.post("/echo", body.clone()), (200, body));
    assert_eq!(
        host.get("/stream?3"),
        (200, "data: 0\n\ndata: 1\n\ndata: 2\n\n".to_owned())
    );
}

#[test]
fn a_client_that_leaves_closes_the_writer() {
    let app = App::new();
    let host = app.ephemeral();
    host.get_and_leave("/stream", 2);
    host.wait_for_line("writer closed");
    assert_eq!(host.get("/healthz").0, 200);
}

#[test]
fn only_permitted_targets_are_called() {
    let app = App::new();
    let host = app.ephemeral();
    let own = host.url.replace("http://", "");
    for refused in [
        format!("http://{own}/healthz"),
        "http://localhost:1/".into(),
        "http://[::1]:1/".into(),
        "http://169.254.169.254/".into(),
    ] {
        let (status, text) = host.get(&format!("/fetch?{refused}"));
        assert_eq!(
            (status, text.as_str()),
            (502, "ErrorCode::DestinationIpProhibited"),
            "{refused}"
        );
    }
    let chained = host.get("/fetch?http://inner.spin.internal/inner/healthz");
    assert_eq!(chained, (200, "200 Ok(\"ok\")".to_owned()));
    let denied = host.get("/fetch?http://inner.spin.internal/inner/fetch?http://example.com/");
    assert_eq!(
        denied,
        (200, "502 Ok(\"ErrorCode::HttpRequestDenied\")".to_owned())
    );
    let database = host.get("/fetch?http://inner.spin.internal/inner/who");
    assert!(
        database.1.contains("allowed_outbound_hosts"),
        "{database:?}"
    );
}

#[test]
fn private_targets_are_called_when_the_operator_says_so() {
    let app = App::new();
    let host = app.start(&["--ephemeral", "--allow-private", "127.0.0.1"]);
    assert_eq!(
        host.get(&format!("/fetch?{}/healthz", host.url)),
        (200, "200 Ok(\"ok\")".to_owned())
    );
}

#[test]
fn stores_are_opened_by_those_who_may() {
    let app = App::new();
    let host = app.ephemeral();
    let put = host.send(
        Request::put(format!("{}/kv?colour", host.url)),
        "green".into(),
    );
    assert_eq!(put, (200, "[\"colour\"]".to_owned()));
    assert_eq!(host.get("/kv?colour").1, "green");
    assert!(host.get("/kv?denied").1.contains("AccessDenied"));
    assert!(
        host.get("/fetch?http://inner.spin.internal/inner/kv?colour")
            .1
            .contains("AccessDenied")
    );
}
