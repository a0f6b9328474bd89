//! The access matrix: every route of the API's description × every kind of caller.
//!
//! Complete by construction: the routes come from the served document, each with the scope that it names, and a route
//! that says neither a scope nor that it is open fails the test.

use super::{app, documents::hello};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use reqwest::Method;
use serde_json::{Value, json};

/// Routes that anybody may call.
const OPEN: [&str; 8] = [
    "/healthz",
    "/readyz",
    "/api/v1/openapi.json",
    "/api/v1/oauth/return",
    "/hooks/{path}",
    "/hooks/wait/{token}",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/api/v1/tools/mcp",
];

/// One route.
#[derive(Debug, Clone)]
struct Route {
    method: Method,
    path: String,
    /// The scope that the document names; `None` for an open one.
    scope: Option<String>,
}

impl Route {
    /// With ids that nothing has in the place of parameters.
    fn target(&self) -> String {
        let parts = self.path.split('/').map(|part| match part {
            "{trace_id}" => "0123456789abcdef0123456789abcdef".to_owned(),
            part if part.starts_with('{') => "01900000-0000-7000-8000-000000000000".to_owned(),
            part => part.to_owned(),
        });
        let target = parts.collect::<Vec<_>>().join("/");
        match target.ends_with("/tail") {
            // A stream that does not end by itself is asked for what it refuses once the caller is in.
            true => format!("{target}?no-such-parameter=1"),
            false => target,
        }
    }

    fn call(&self, caller: &Tenant) -> Reply {
        let mut headers = vec![("content-type", "application/json"), ("if-match", "*")];
        // A part of tus, which wants its version with every request.
        if self.path.starts_with("/api/v1/files/uploads") {
            headers.push(("tus-resumable", "1.0.0"));
        }
        let body = match self.method {
            Method::GET | Method::DELETE => Vec::new(),
            _ => b"{\"no such field\":1}".to_vec(),
        };
        caller.send(self.method.clone(), &self.target(), &headers, body)
    }
}

fn routes() -> Vec<Route> {
    let document = app().tenant().get("/api/v1/openapi.json").json;
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let scopes = operation["security"][0].as_object();
            let scope = scopes
                .and_then(|s| s.values().next())
                .and_then(|list| list[0].as_str());
            let open = OPEN.contains(&path.as_str()) || path.contains("/shared/");
            assert!(
                open != scope.is_some(),
                "{method} {path}: name its scope, or list it as open here"
            );
            routes.push(Route {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                scope: scope.map(str::to_owned),
            });
        }
    }
    assert!(routes.len() > 40, "only {} routes", routes.len());
    routes
}

/// Whether a role may do what a scope says, as the documentation has it.
fn role_may(role: &str, scope: &str) -> bool {
    let action = scope.split(':').nth(1).unwrap();
    match role {
        // What is one's own does not depend on a role.
        _ if ["profiles:own", "profiles:export", "profiles:delete"].contains(&scope) => true,
        "viewer" => action == "read",
        "editor" => ["read", "write", "run"].contains(&action),
        _ => true,
    }
}

/// A key of `owner` with `scopes`.
fn key(owner: &Tenant, scopes: &Value) -> (Tenant, String) {
    let body = json!({"name": "matrix", "scopes": scopes});
    let made = owner.post("/api/v1/api-keys", &body);
    assert_status(&made, 201);
    let id = made.json["id"].as_str().unwrap().to_owned();
    (
        app().with_credential(made.json["key"].as_str().unwrap()),
        id,
    )
}

/// Neither refused for who calls nor for what they may: the route itself has answered.
#[track_caller]
fn assert_let_in(reply: &Reply, route: &Route, who: &str) {
    let refused = [401, 403, 429].contains(&reply.status);
    let by_scope = reply.text.contains("scope-missing");
    assert!(
        !(reply.status == 401 || reply.status == 429 || by_scope),
        "{who}, {} {}: {}",
        route.method,
        route.path,
        reply.text
    );
    // The database may still say no to a role that the scope lets in (an editor and the vault).
    assert!(!refused || reply.status == 403, "{}", reply.text);
    assert!(reply.status < 500, "{who}, {route:?}: {}", reply.text);
}

#[test]
fn who_may_not_come_in_does_not() {
    let owner = app().tenant();
    let anonymous = app().with_credential("");
    let (revoked, revoked_id) = key(&owner, &json!(["*"]));
    assert_status(
        &owner.delete(&format!("/api/v1/api-keys/{revoked_id}")),
        204,
    );
    let (expired, expired_id) = key(&owner, &json!(["*"]));
    let rotate = format!("/api/v1/api-keys/{expired_id}/rotate");
    assert_status(&owner.post(&rotate, &json!({"overlap_s": 0})), 201);
    // A scope that no route asks for.
    let (without, _) = key(&owner, &json!(["nothing:at-all"]));
    for route in routes().iter().filter(|route| route.scope.is_some()) {
        assert_problem(&route.call(&anonymous), 401, "unauthenticated");
        assert_problem(&route.call(&revoked), 401, "key-revoked");
        assert_problem(&route.call(&expired), 401, "credential-expired");
        assert_problem(&route.call(&without), 403, "scope-missing");
    }
}

#[test]
fn each_role_gets_what_its_scopes_say() {
    let owner = app().tenant();
    owner.workflow("shared", &hello());
    let Some(org) = app().organization_of(&owner) else {
        return; // somebody else's database
    };
    for role in ["viewer", "editor", "admin", "owner"] {
        let member = app().member(&org, role).unwrap();
        for route in routes() {
            let reply = route.call(&member);
            match &route.scope {
                Some(scope) if !role_may(role, scope) => {
                    assert_problem(&reply, 403, "scope-missing");
                }
                _ => assert_let_in(&reply, &route, role),
            }
        }
    }
}

#[test]
fn a_key_with_exactly_one_scope_opens_exactly_its_routes() {
    let owner = app().tenant();
    let routes = routes();
    let mut scopes: Vec<String> = routes.iter().filter_map(|r| r.scope.clone()).collect();
    scopes.sort();
    scopes.dedup();
    for scope in &scopes {
        let (holder, _) = key(&owner, &json!([scope]));
        // With every other scope at once: that none of them opens these routes takes one request each.
        let others: Vec<&String> = scopes.iter().filter(|other| *other != scope).collect();
        let (stranger, _) = key(&owner, &json!(others));
        for route in routes.iter().filter(|r| r.scope.as_ref() == Some(scope)) {
            assert_let_in(&route.call(&holder), route, scope);
            assert_problem(&route.call(&stranger), 403, "scope-missing");
        }
    }
}

#[test]
fn another_tenant_finds_nothing() {
    let (owner, stranger) = (app().tenant(), app().tenant());
    owner.workflow("private", &hello());
    for route in routes() {
        let reply = route.call(&stranger);
        assert_let_in(&reply, &route, "stranger");
        if route.path.contains('{') && route.method == Method::GET && route.scope.is_some() {
            assert_eq!(reply.status, 404, "{route:?}: {}", reply.text);
        }
    }
}
