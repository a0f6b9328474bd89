//! Audit log, feature flags, rate limits, usage.

use super::{app, documents::hello};
use e2e::{assert_problem, assert_status};
use serde_json::{Value, json};

#[test]
fn the_audit_log_says_who_did_what_and_holds_together() {
    let me = app().tenant();
    let id = me.workflow("audited", &hello());
    let path = format!("/api/v1/workflows/{id}");
    let body = json!({"name": "renamed", "definition": hello()});
    assert_status(&me.put_with(&path, &[("if-match", "\"v1\"")], &body), 200);
    assert_status(&me.delete(&path), 204);
    let log = me.get(&format!("/api/v1/audit-logs?resource_id={id}")).json;
    let rows = log["data"].as_array().unwrap();
    let actions: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["action"].as_str())
        .collect();
    assert_eq!(
        actions,
        ["workflow.deleted", "workflow.updated", "workflow.created"]
    );
    let change = &rows[1]["details"];
    assert_eq!(change["before"]["name"], "audited");
    assert_eq!(change["after"]["name"], "renamed");
    assert!(
        change["after"]["definition"].is_null(),
        "what did not change is not listed"
    );
    assert_eq!(rows[1]["actor_user_id"], me.user_id.as_str());
    assert_eq!(rows[1]["request_id"].as_str().map(str::len), Some(32));

    let verdict = me.get("/api/v1/audit-logs/verify").json;
    assert_eq!(verdict["ok"], true, "{verdict}");
    assert_eq!(verdict["complete"], true);
    assert_eq!(verdict["checked"], 3);
    let half = me.get("/api/v1/audit-logs/verify?limit=2").json;
    assert_eq!(
        (&half["complete"], &half["chain"]),
        (&json!(false), &json!(2))
    );
    let rest = format!(
        "/api/v1/audit-logs/verify?after=2&after_hash={}",
        half["hash"].as_str().unwrap()
    );
    assert_eq!(me.get(&rest).json["complete"], true);
}

#[test]
fn a_changed_or_missing_row_is_found() {
    for (change, kind) in [
        (
            "UPDATE public.audit_logs SET action = 'workflow.kept' WHERE {which}",
            "changed",
        ),
        (
            "UPDATE public.audit_logs SET details = '{}' WHERE {which}",
            "changed",
        ),
        ("DELETE FROM public.audit_logs WHERE {which}", "missing"),
        (
            "UPDATE public.audit_logs SET hash = repeat('0', 64) WHERE {which}",
            "changed",
        ),
    ] {
        let me = app().tenant();
        for name in ["one", "two", "three"] {
            me.workflow(name, &hello());
        }
        let which = format!("actor_user_id = '{}' AND chain = 2", me.user_id);
        // The table refuses even its owner, as long as the trigger is on.
        let change = change.replace("{which}", &which);
        let Some(refused) = app().owner_refuses(&change) else {
            return; // somebody else's database
        };
        assert!(refused, "{change}");
        let off = format!(
            "ALTER TABLE public.audit_logs DISABLE TRIGGER append_only; {change};
             ALTER TABLE public.audit_logs ENABLE TRIGGER append_only"
        );
        app().owner(&off);
        let verdict = me.get("/api/v1/audit-logs/verify").json;
        assert_eq!(verdict["ok"], false, "{change}");
        assert_eq!(verdict["fault"]["kind"], kind, "{change}");
        assert_eq!(verdict["fault"]["after_chain"], 1);
    }
}

#[test]
fn a_flag_is_made_ruled_and_evaluated() {
    let me = app().tenant();
    let flags = "/api/v1/feature-flags";
    let body = json!({"key": "new-editor", "enabled": true,
        "rules": [{"users": [me.user_id], "environments": ["dev"]}, {"percent": 0}]});
    let made = me.post(flags, &body);
    assert_status(&made, 201);
    let evaluate = |environment: &str| -> Value {
        me.get(&format!("{flags}/evaluate?environment={environment}"))
            .json["flags"]
            .clone()
    };
    assert_eq!(evaluate("dev"), json!({"new-editor": true}));
    assert_eq!(evaluate("prod"), json!({"new-editor": false}));
    let path = format!("{flags}/{}", made.json["id"].as_str().unwrap());
    assert_problem(&me.post(flags, &body), 409, "conflict");
    let bad = json!({"key": "Ünï", "rules": [{"percent": 101}]});
    let refused = me.post(flags, &bad);
    assert_problem(&refused, 400, "invalid-input");
    assert_eq!(refused.json["errors"].as_array().unwrap().len(), 2);
    let off = me.patch_with(&path, &[("if-match", "\"v1\"")], &json!({"enabled": false}));
    assert_status(&off, 200);
    assert_eq!(off.json["rules"], made.json["rules"]);
    assert_status(&me.delete(&path), 204);
}

#[test]
fn a_policy_limits_one_route_and_leaves_the_rest() {
    let me = app().tenant();
    let limits = "/api/v1/rate-limits";
    let body = json!({"name": "lists", "subject": "user", "route": "GET /api/v1/workflows",
        "per_minute": 1, "burst": 3});
    let made = me.post(limits, &body);
    assert_status(&made, 201);
    for left in [2, 1, 0] {
        let reply = me.get("/api/v1/workflows");
        assert_status(&reply, 200);
        let state = reply.header("ratelimit");
        assert!(
            state.starts_with(&format!("\"lists\";r={left};t=")),
            "{state}"
        );
        assert!(
            reply
                .header("ratelimit-policy")
                .contains("\"lists\";q=1;w=60")
        );
    }
    let refused = me.get("/api/v1/workflows");
    assert_problem(&refused, 429, "quota-exceeded");
    assert_eq!(refused.json["violated-policies"], json!(["lists"]));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_status(&me.get("/api/v1/nodes"), 200);
    assert_status(&me.get(limits), 200);
    let path = format!("{limits}/{}", made.json["id"].as_str().unwrap());
    assert_status(&me.delete(&path), 204);
    assert_status(&me.get("/api/v1/workflows"), 200);
}

#[test]
fn twenty_clients_get_what_the_policy_says_and_no_more() {
    const SECONDS: f64 = 10.0;
    let me = app().tenant();
    // 20 a second and 20 at once; twenty clients ask as fast as they can, which is several times that.
    let body = json!({"name": "tight", "subject": "organization", "route": "GET /api/v1/usage",
        "per_minute": 1_200, "burst": 20});
    assert_status(&me.post("/api/v1/rate-limits", &body), 201);
    let begun = std::time::Instant::now();
    let threads: Vec<_> = (0..20)
        .map(|_| {
            let me = me.clone();
            std::thread::spawn(move || {
                let (mut admitted, mut refused) = (0_u32, 0_u32);
                while begun.elapsed().as_secs_f64() < SECONDS {
                    let reply = me.get("/api/v1/usage");
                    match reply.status {
                        200 => {
                            assert!(reply.header("server-timing").contains("\"2 statements\""));
                            admitted += 1;
                        }
                        429 => refused += 1,
                        other => panic!("{other}: {}", reply.text),
                    }
                }
                (admitted, refused)
            })
        })
        .collect();
    let sums = threads.into_iter().map(|t| t.join().unwrap());
    let (admitted, refused) = sums.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    let whole = begun.elapsed().as_secs_f64();
    let policy = |seconds: f64| 20.0 * seconds + 20.0;
    let (least, most) = (policy(SECONDS) * 0.99, policy(whole) * 1.01);
    let got = f64::from(admitted);
    assert!(
        least <= got && got <= most,
        "{got} of {least} to {most}; {refused} refused"
    );
    assert!(
        refused > admitted,
        "the clients did not ask for more than there was"
    );
}

#[test]
fn a_run_is_metered() {
    let me = app().tenant();
    let id = me.workflow("metered", &hello());
    let body = json!({"workflow_id": id, "inputs": {"name": "x"}});
    let run = me.post("/api/v1/workflows/execute", &body);
    assert_status(&run, 200);
    let usage = me.get(&format!("/api/v1/usage?workflow_id={id}")).json;
    assert_eq!(usage["data"][0]["execution_id"], run.json["execution_id"]);
    assert_eq!(usage["data"][0]["kind"], "run");
}
