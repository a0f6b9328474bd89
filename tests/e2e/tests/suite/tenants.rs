//! Two tenants: every route, with the other one's ids.

use super::{app, documents::hello};
use e2e::{Tenant, assert_problem};
use reqwest::Method;
use serde_json::{Value, json};

/// Fills the path parameters of `path` with the other tenant's ids; panics for a kind of thing that `belongings` lacks.
fn filled(path: &str, ids: &Value) -> String {
    let kinds = ids.as_object().unwrap();
    let of_path = kinds.iter().filter(|(prefix, _)| path.starts_with(*prefix));
    let (_, id) = of_path
        .max_by_key(|(prefix, _)| prefix.len())
        .unwrap_or_else(|| panic!("{path}: give the owner one of these in `belongings`"));
    let parts = path.split('/').map(|part| match part {
        "{id}" | "{trace_id}" => id.as_str().unwrap(),
        "{share_id}" => ids["/share"].as_str().unwrap(),
        "{document_id}" => ids["/document"].as_str().unwrap(),
        "{number}" => "1",
        other => other,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A body that the route would take from the owner.
fn body_for(method: &str, path: &str) -> Value {
    match (method, path) {
        ("PUT", "/api/v1/workflows/{id}") => json!({"name": "mine now", "definition": hello()}),
        ("PUT", "/api/v1/rate-limits/{id}") => {
            json!({"name": "x", "subject": "user", "per_minute": 1, "burst": 1})
        }
        ("POST", "/api/v1/workflows/execute/{id}/resume") => json!({"node": "ask"}),
        ("POST", "/api/v1/workflows/execute/{id}/fork") => json!({"from": "out"}),
        ("POST", "/api/v1/workflows/{id}/merge") => json!({"base": 1, "theirs": 1}),
        ("POST", "/api/v1/workflows/{id}/restore") => json!({"version": 1}),
        ("POST", "/api/v1/workflows/{id}/versions/{number}/egress") => json!({"hosts": ["*"]}),
        ("POST", "/api/v1/workflows/{id}/shares") => json!({"link": true}),
        ("PATCH", "/api/v1/workflows/{id}/shares/{share_id}") => json!({"role": "viewer"}),
        ("POST", "/api/v1/api-keys/{id}/rotate") => json!({"overlap_s": 0}),
        ("POST", "/api/v1/secrets/{id}/versions") => json!({"value": "mine now"}),
        ("POST", "/api/v1/secrets/{id}/rollback") => json!({"number": 1}),
        ("PATCH", "/api/v1/profiles/members/{id}") => json!({"role": "viewer"}),
        ("PATCH", "/api/v1/secrets/{id}" | "/api/v1/feature-flags/{id}") => {
            json!({"description": "mine now"})
        }
        ("PATCH", "/api/v1/traces/{trace_id}/scores/{id}") => json!({"comment": "mine now"}),
        ("POST", "/api/v1/traces/{trace_id}/scores") => json!({"name": "x", "comment": "mine now"}),
        ("PATCH", "/api/v1/deployments/{id}") => json!({"variables": {}}),
        ("PUT", "/api/v1/cost-intelligence/overrides/{id}") => {
            json!({"entry": {"basis_points": 1}})
        }
        ("POST", "/api/v1/rag-evaluation/datasets/{id}/items") => {
            json!({"items": [{"question": "mine now"}]})
        }
        ("POST", "/api/v1/knowledge-base/{id}/documents") => {
            json!({"documents": [{"text": "mine now"}]})
        }
        ("POST", "/api/v1/knowledge-base/{id}/search") => json!({"query": "x"}),
        ("POST", "/api/v1/knowledge-base/{id}/rebuild") => json!({"settings": {}}),
        ("PUT", "/api/v1/knowledge-base/{id}/documents") => {
            json!({"connector": "theirs", "documents": [], "complete": true})
        }
        ("POST", "/api/v1/finetune/{id}/evaluate") => {
            json!({"dataset_id": uuid::Uuid::now_v7(), "metrics": ["exact_match"]})
        }
        ("POST", "/api/v1/finetune/{id}/canary") => {
            json!({"deployment_id": uuid::Uuid::now_v7(), "percent": 10})
        }
        ("PUT", "/api/v1/knowledge-base/{id}/documents/{document_id}/content") => {
            json!({"text": "mine now"})
        }
        ("PATCH", "/api/v1/knowledge-base/{id}/documents/{document_id}") => {
            json!({"title": "mine now"})
        }
        ("POST", "/api/v1/webhooks/{id}/send") => json!({"event_type": "a.b", "data": {}}),
        ("POST", "/api/v1/rag-evaluation/datasets/{id}/from-traces") => json!({}),
        ("PUT", "/api/v1/rag-evaluation/evaluations/{id}/labels") => {
            let item = uuid::Uuid::now_v7().to_string();
            json!({"labels": [{"item_id": item, "metric": "mrr", "label": 1}]})
        }
        ("POST", "/api/v1/rag-evaluation/evaluations/{id}/gate") => {
            json!({"limits": [{"metric": "mrr", "min": 0}]})
        }
        ("PUT", "/api/v1/prompt-playground/prompts/{id}/labels") => json!({"labels": []}),
        ("PUT", "/api/v1/models/own/{id}") => {
            json!({"facts": {"kind": "chat", "input": ["text"], "output": ["text"]}})
        }
        ("PUT", "/api/v1/tools/{id}") => {
            json!({"name": "mine", "kind": "function", "config": {"url": format!("{}/web/echo", app().llm.url)}})
        }
        ("PATCH", "/api/v1/tools/{id}") => json!({"enabled": false}),
        ("POST", "/api/v1/deployments/{id}/promote") => json!({"to": "prod"}),
        ("POST", "/api/v1/deployments/{id}/canary") => json!({"percent": 0}),
        ("PATCH", "/api/v1/observability/alerts/{id}") => json!({"state": "resolved"}),
        ("POST", "/api/v1/webhooks/incoming/{id}/rotate") => json!({"scheme": "github"}),
        ("PATCH", _) => json!({"name": "mine now"}),
        _ => json!({}),
    }
}

/// One of each thing that has an id in a path, by the path's start.
fn belongings(owner: &Tenant) -> Value {
    let made = |path: &str, body: Value| -> Value {
        let reply = owner.post(path, &body);
        assert_eq!(reply.status, 201, "{path}: {}", reply.text);
        reply.json["id"].clone()
    };
    let workflow_id = owner.workflow("secret plan", &hello());
    let run = owner.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": workflow_id, "inputs": {"name": "s3cr3t"}}),
    );
    let shares = format!("/api/v1/workflows/{workflow_id}/shares");
    let members = owner.get("/api/v1/profiles/members").json;
    let job = owner.post("/api/v1/profiles/me/export", &json!({}));
    let deployment = json!({"slug": "d", "workflow_id": workflow_id, "environment": "dev"});
    let provider = owner.post(
        "/api/v1/oauth/providers",
        &json!({"slug": "p", "preset": "github", "client_id": "c", "redirect_uris": ["https://a.example/"]}),
    );
    let connection = connection(owner, &provider.json["id"]);
    let budget = made(
        "/api/v1/cost-intelligence/budgets",
        json!({"name": "b", "subject": "organization", "period": "day", "limit_tokens": 1_000_000}),
    );
    let hook = made(
        "/api/v1/webhooks",
        json!({"name": "h", "url": format!("{}/web/echo", app().llm.url), "event_types": ["run.failed"]}),
    );
    let tested = owner.post(
        &format!("/api/v1/webhooks/{}/test", hook.as_str().unwrap()),
        &json!({}),
    );
    let file = owner
        .send(
            Method::POST,
            "/api/v1/files?name=secret.txt",
            &[],
            b"secret".to_vec(),
        )
        .json;
    let link = format!("/api/v1/files/{}/signed-url", file["id"].as_str().unwrap());
    let knowledge = made("/api/v1/knowledge-base", json!({"name": "k"}));
    let added = owner.post(
        &format!(
            "/api/v1/knowledge-base/{}/documents",
            knowledge.as_str().unwrap()
        ),
        &json!({"documents": [{"text": "s3cr3t"}]}),
    );
    // In two parts: the macro recurses.
    let first = json!({
        "/document": added.json["documents"][0]["id"],
        "/api/v1/knowledge-base/": knowledge,
        "/share": made(&shares, json!({"link": true})),
        "/api/v1/files/": file["id"],
        "/api/v1/files/uploads/": uploads_id(owner),
        "/api/v1/files/links/": made(&link, json!({})),
        "/api/v1/finetune/": finetune_job(owner),
        "/api/v1/deployments/": made("/api/v1/deployments", deployment),
        "/api/v1/workflows/execute/schedules/": made("/api/v1/workflows/execute/schedules",
            json!({"name": "s", "workflow_id": workflow_id, "cron": "@yearly"})),
        "/api/v1/workflows/execute/memory/": super::memory::begun(owner),
        "/api/v1/webhooks/incoming/": made("/api/v1/webhooks/incoming",
            json!({"name": "i", "workflow_id": workflow_id, "verification": {"scheme": "github"}})),
        "/api/v1/workflows/": workflow_id,
        "/api/v1/workflows/execute/": run.json["execution_id"],
        "/api/v1/traces/": run.json["trace_id"],
        "/api/v1/api-keys/": made("/api/v1/api-keys", json!({"name": "k", "scopes": ["*:read"]})),
        "/api/v1/secrets/": made("/api/v1/secrets", json!({"name": "K", "value": "v"})),
        "/api/v1/feature-flags/": made("/api/v1/feature-flags", json!({"key": "f"})),
        "/api/v1/rate-limits/": made("/api/v1/rate-limits",
            json!({"name": "r", "subject": "user", "per_minute": 6_000, "burst": 1_000})),
        "/api/v1/cost-intelligence/overrides/": made("/api/v1/cost-intelligence/overrides",
            json!({"model": "openai/gpt-4o", "entry": {"basis_points": 9_000}})),
        "/api/v1/cost-intelligence/reconciliations/": made("/api/v1/cost-intelligence/reconciliations",
            json!({"provider": "openai", "source": "s", "from": "2026-11-01", "to": "2026-11-02",
                "content": "model,input_tokens\ngpt-4o,1"})),
        "/api/v1/cost-intelligence/budgets/": budget,
        "/api/v1/cost-forecast/budgets/": budget,
    });
    let mut all = json!({
        "/api/v1/observability/rules/": made("/api/v1/observability/rules",
            json!({"name": "a", "condition": {"kind": "absence", "of": "calls", "window_hours": 1}})),
        "/api/v1/observability/alerts/": alert(owner),
        "/api/v1/observability/slos/": made("/api/v1/observability/slos",
            json!({"name": "s", "objective": 0.9, "window_days": 1, "indicator": "success"})),
        "/api/v1/query-tracer/": run.json["trace_id"],
        "/api/v1/webhooks/": hook,
        "/api/v1/webhooks/deliveries/": tested.json["id"],
        "/api/v1/tools/": made("/api/v1/tools", json!({"name": "t", "kind": "function", "config": {"url": format!("{}/web/echo", app().llm.url)}})),
        "/api/v1/models/own/": made("/api/v1/models/own",
            json!({"model": "a/b", "facts": {"kind": "chat", "input": ["text"], "output": ["text"]}})),
        "/api/v1/rag-evaluation/datasets/": made("/api/v1/rag-evaluation/datasets", json!({"name": "d"})),
        "/api/v1/rag-evaluation/evaluations/": evaluation(owner),
        "/api/v1/rag-evaluation/rules/": made("/api/v1/rag-evaluation/rules", json!({"name": "r", "workflow_id": workflow_id,
            "sample_rate": 0.1, "reading": {"metrics": [{"metric": "regex", "pattern": "."}]}})),
        "/api/v1/rag-evaluation/syntheses/": synthesis(owner),
        "/api/v1/rag-optimization/experiments/": experiment(owner),
        "/api/v1/rag-optimization/studies/": super::studies::begun(owner),
        "/api/v1/prompt-playground/spans/": run.json["trace_id"],
        "/api/v1/prompt-playground/prompts/": made("/api/v1/prompt-playground/prompts",
            json!({"name": "p", "template": {"messages": [{"role": "user", "content": "hi"}]}})),
        "/api/v1/metrics/dashboards/": made("/api/v1/metrics/dashboards", json!({"name": "d"})),
        "/api/v1/oauth/providers/": provider.json["id"],
        "/api/v1/oauth/connections/": connection,
        "/api/v1/profiles/me/jobs/": job.json["id"],
        "/api/v1/profiles/members/": members["data"][0]["id"],
        "/api/v1/profiles/invitations/": made("/api/v1/profiles/invitations",
            json!({"email": "somebody@example.org"})),
    });
    let map = all.as_object_mut().unwrap();
    map.extend(first.as_object().unwrap().clone());
    all
}

/// A job at the stand-in.
fn finetune_job(owner: &Tenant) -> Value {
    let job = super::finetune::job(owner, "stand-in");
    let made = owner.post("/api/v1/finetune", &job);
    assert_eq!(made.status, 202, "{}", made.text);
    made.json["id"].clone()
}

/// An evaluation of an answer that is there already.
fn evaluation(owner: &Tenant) -> Value {
    let path = "/api/v1/rag-evaluation";
    let dataset = owner
        .post(&format!("{path}/datasets"), &json!({"name": "evaluated"}))
        .json;
    let items = format!("{path}/datasets/{}/items", dataset["id"].as_str().unwrap());
    let added = owner.post(&items, &json!({"items": [{"question": "q"}]}));
    assert_eq!(added.status, 201, "{}", added.text);
    let item = owner.get(&items).json["data"][0]["id"].clone();
    let answers = json!({item.as_str().unwrap(): {"answer": "a"}});
    let body = json!({"dataset_id": dataset["id"], "target": {"answers": answers}, "metrics": ["exact_match"]});
    let made = owner.post(&format!("{path}/evaluations"), &body);
    assert_eq!(made.status, 202, "{}", made.text);
    made.json["id"].clone()
}

/// A synthesis that has ended: questions about one document.
fn synthesis(owner: &Tenant) -> Value {
    let base = super::knowledge::base(owner, json!({}));
    let text = "A document that is long enough to be asked about by somebody.";
    let ids = super::knowledge::add(owner, &base, json!([{"title": "t", "text": text}]));
    super::knowledge::ready(owner, &base, &ids);
    let path = "/api/v1/rag-evaluation";
    let dataset = owner.post(&format!("{path}/datasets"), &json!({"name": "made"}));
    let base_id = base.rsplit('/').next().unwrap();
    let body = json!({"dataset_id": dataset.json["id"], "knowledge_base_id": base_id, "questions": 1,
        "judge": {"model": "builtin/echo"}});
    let made = owner.post(&format!("{path}/syntheses"), &body);
    assert_eq!(made.status, 202, "{}", made.text);
    made.json["id"].clone()
}

/// An experiment on an empty base.
fn experiment(owner: &Tenant) -> Value {
    let base = owner.post("/api/v1/knowledge-base", &json!({"name": "tried"}));
    let path = "/api/v1/rag-evaluation/datasets";
    let dataset = owner.post(path, &json!({"name": "tried"})).json;
    let items = format!("{path}/{}/items", dataset["id"].as_str().unwrap());
    let added = owner.post(
        &items,
        &json!({"items": [{"question": "q", "relevant": ["d"]}]}),
    );
    assert_eq!(added.status, 201, "{}", added.text);
    let body =
        json!({"name": "e", "knowledge_base_id": base.json["id"], "dataset_id": dataset["id"]});
    let made = owner.post("/api/v1/rag-optimization/experiments", &body);
    assert_eq!(made.status, 202, "{}", made.text);
    made.json["id"].clone()
}

/// An upload that has not ended.
fn uploads_id(owner: &Tenant) -> Value {
    let headers = [("tus-resumable", "1.0.0"), ("upload-length", "10")];
    let begun = owner.send(Method::POST, "/api/v1/files/uploads", &headers, Vec::new());
    assert_eq!(begun.status, 201, "{}", begun.text);
    json!(begun.header("location").rsplit('/').next().unwrap())
}

/// A connection without an account behind it: the walk needs its id alone.
fn connection(owner: &Tenant, provider_id: &Value) -> Value {
    let id = uuid::Uuid::now_v7().to_string();
    let user = &owner.user_id;
    let provider = provider_id.as_str().unwrap();
    app().owner(&format!(
        "INSERT INTO public.connections (id, org_id, user_id, provider, provider_id, key_version, wrapped_key, nonce, ciphertext)
         SELECT '{id}', org_id, '{user}', slug, id, 1, '', '', '' FROM public.oauth_providers WHERE id = '{provider}'"
    ));
    json!(id)
}

/// The alert of a rule that fires, since nobody runs a workflow that does not exist.
fn alert(owner: &Tenant) -> Value {
    let nobody = uuid::Uuid::now_v7().to_string();
    let condition =
        json!({"kind": "absence", "of": "runs", "window_hours": 1, "workflow_id": nobody});
    let rule = json!({"name": "quiet", "condition": condition});
    assert_eq!(owner.post("/api/v1/observability/rules", &rule).status, 201);
    let asked = owner.post("/api/v1/observability/evaluate", &json!({}));
    assert_eq!(asked.status, 200, "{}", asked.text);
    owner.get("/api/v1/observability/alerts").json["data"][0]["id"].clone()
}

#[test]
fn the_others_ids_are_not_found_on_any_route() {
    let (owner, stranger) = (app().tenant(), app().tenant());
    let ids = belongings(&owner);
    let document = stranger.get("/api/v1/openapi.json").json;
    let mut walked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        if !path.contains("{id}") && !path.contains("{trace_id}") {
            continue;
        }
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let body = body_for(method.as_str(), path).to_string().into_bytes();
            let headers = [
                ("content-type", "application/json"),
                ("if-match", "*"),
                ("tus-resumable", "1.0.0"),
                ("upload-offset", "0"),
            ];
            let reply = stranger.send(method, &filled(path, &ids), &headers, body);
            assert_problem(&reply, 404, "not-found");
            walked += 1;
        }
    }
    assert!(walked >= 35, "only {walked} routes were walked");
    let run = stranger.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": ids["/api/v1/workflows/"]}),
    );
    assert_problem(&run, 404, "not-found");
    // Nothing of it changed anything.
    let path = filled("/api/v1/workflows/{id}", &ids);
    assert_eq!(owner.get(&path).json["name"], "secret plan");
}

#[test]
fn lists_show_ones_own_rows_only() {
    let (owner, stranger) = (app().tenant(), app().tenant());
    belongings(&owner);
    for path in [
        "/api/v1/workflows",
        "/api/v1/workflows/folders",
        "/api/v1/workflows/shared",
        "/api/v1/files",
        "/api/v1/finetune",
        "/api/v1/files/links",
        "/api/v1/workflows/execute",
        "/api/v1/workflows/execute/schedules",
        "/api/v1/workflows/execute/memory",
        "/api/v1/webhooks/incoming",
        "/api/v1/deployments",
        "/api/v1/traces?kind=run",
        "/api/v1/api-keys",
        "/api/v1/secrets",
        "/api/v1/secrets/access-log",
        "/api/v1/oauth/providers",
        "/api/v1/oauth/connections",
        "/api/v1/feature-flags",
        "/api/v1/rate-limits",
        "/api/v1/cost-intelligence/budgets",
        "/api/v1/cost-intelligence/overrides",
        "/api/v1/cost-intelligence/reconciliations",
        "/api/v1/metrics/dashboards",
        "/api/v1/tools",
        "/api/v1/models/own",
        "/api/v1/prompt-playground/prompts",
        "/api/v1/rag-evaluation/datasets",
        "/api/v1/rag-evaluation/evaluations",
        "/api/v1/rag-evaluation/rules",
        "/api/v1/rag-evaluation/syntheses",
        "/api/v1/rag-optimization/experiments",
        "/api/v1/rag-optimization/studies",
        "/api/v1/observability/rules",
        "/api/v1/observability/alerts",
        "/api/v1/observability/slos",
        "/api/v1/query-tracer",
        "/api/v1/webhooks",
        "/api/v1/webhooks/deliveries",
        "/api/v1/profiles/invitations",
        "/api/v1/usage",
        "/api/v1/audit-logs",
    ] {
        let reply = stranger.get(path);
        assert_eq!(reply.json["data"], json!([]), "{path}");
    }
}

#[test]
fn choosing_anothers_organisation_is_refused() {
    let (owner, stranger) = (app().tenant(), app().tenant());
    belongings(&owner);
    let org = uuid::Uuid::now_v7().to_string();
    let reply = stranger.send(
        Method::GET,
        "/api/v1/workflows",
        &[("x-organization-id", &org)],
        Vec::new(),
    );
    assert_problem(&reply, 403, "forbidden");
}
