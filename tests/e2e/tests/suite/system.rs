//! Health, readiness, the API's description, and what every response carries.

use super::app;
use e2e::{assert_problem, assert_status};
use reqwest::Method;

#[test]
fn it_is_alive_and_ready_on_this_backend() {
    let anybody = app().with_credential("");
    assert_eq!(anybody.get("/healthz").json["status"], "ok");
    let ready = anybody.get("/readyz");
    assert_status(&ready, 200);
    let want = match crate::BACKEND {
        e2e::Backend::Postgres => "postgres",
        e2e::Backend::Supabase => "supabase",
    };
    assert_eq!(ready.json["storage"], want);
}

#[test]
fn every_response_carries_its_trace_and_length() {
    let me = app().tenant();
    for path in [
        "/healthz",
        "/api/v1/workflows",
        "/api/v1/workflows/nope",
        "/api/v1/nodes",
    ] {
        let reply = me.get(path);
        assert_eq!(reply.header("x-trace-id").len(), 32, "{path}");
        assert!(
            reply
                .header("traceparent")
                .contains(reply.header("x-trace-id")),
            "{path}"
        );
        assert_eq!(
            reply.header("content-length"),
            reply.text.len().to_string(),
            "{path}"
        );
    }
}

#[test]
fn unknown_paths_and_methods_are_problems() {
    let me = app().tenant();
    assert_problem(&me.get("/api/v1/workflows/a/b/c"), 404, "not-found");
    let wrong = me.send(Method::PATCH, "/api/v1/workflows", &[], Vec::new());
    assert_problem(&wrong, 405, "method-not-allowed");
    assert_eq!(wrong.header("allow"), "GET, POST");
}

#[test]
fn a_browser_may_ask_from_elsewhere() {
    let reply =
        app()
            .with_credential("")
            .send(Method::OPTIONS, "/api/v1/workflows", &[], Vec::new());
    assert_status(&reply, 204);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert!(
        reply
            .header("access-control-allow-headers")
            .contains("authorization")
    );
}

#[test]
fn the_description_names_every_route() {
    let document = app().with_credential("").get("/api/v1/openapi.json").json;
    assert_eq!(document["openapi"], "3.1.0");
    for path in [
        "/api/v1/workflows",
        "/api/v1/workflows/{id}",
        "/api/v1/workflows/execute",
        "/api/v1/traces/{trace_id}",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
}
