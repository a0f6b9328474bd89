//! The model catalogue: what there is, own entries, who can use it, the cheapest that fits, tokens.

use super::app;
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/models";

fn all(me: &Tenant, query: &str) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let reply = me.get(&format!("{PATH}?limit=200{query}{cursor}"));
        assert_status(&reply, 200);
        rows.extend(reply.json["data"].as_array().unwrap().clone());
        match reply.json["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}

#[test]
fn the_catalogue_is_long_priced_and_filtered() {
    let me = app().tenant();
    let rows = all(&me, "");
    assert!(rows.len() >= 150, "{}", rows.len());
    let mut found = ids(&rows);
    found.dedup();
    assert_eq!(found.len(), rows.len(), "no model twice over the pages");
    let seeing = all(
        &me,
        "&provider=anthropic&capabilities=tools,json_schema&input=image",
    );
    assert!(!seeing.is_empty());
    for model in &seeing {
        assert_eq!(model["provider"], "anthropic");
        assert!(
            model["capabilities"]
                .as_array()
                .unwrap()
                .contains(&json!("json_schema"))
        );
        assert!(model["usd_per_million"]["uncached"].is_string(), "{model}");
    }
    let retired = all(&me, "&retired=true");
    assert!(
        retired.len() > rows.len(),
        "those that are gone are hidden unless asked for"
    );
    assert_problem(&me.get(&format!("{PATH}?nothing=1")), 400, "invalid-input");
}

#[test]
fn one_model_is_found_by_reference_and_by_its_dated_name() {
    let me = app().tenant();
    let dated = me.get(&format!("{PATH}/openai/gpt-4o-mini-2024-07-18"));
    assert_status(&dated, 200);
    assert_eq!(dated.json["id"], "openai/gpt-4o-mini");
    assert_eq!(dated.json["usd_per_million"]["uncached"], "0.15");
    assert_eq!(dated.json["has_key"], false);
    let with_slash = all(&me, "&provider=together")[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let name = with_slash
        .strip_prefix("together/")
        .unwrap()
        .replace('/', "%2F");
    assert_eq!(
        me.get(&format!("{PATH}/together/{name}")).json["id"],
        with_slash
    );
    assert_problem(&me.get(&format!("{PATH}/openai/nothing")), 404, "not-found");
}

#[test]
fn an_own_entry_stands_in_the_catalogue_until_it_is_removed() {
    let me = app().tenant();
    let facts = json!({"kind": "chat", "name": "Mine", "max_input_tokens": 4096, "input": ["text"], "output": ["text"],
        "capabilities": ["tools"]});
    let made = me.post(
        &format!("{PATH}/own"),
        &json!({"model": "openai/mine", "facts": facts}),
    );
    assert_status(&made, 201);
    let path = made.header("location").to_owned();
    let shown = me.get(&format!("{PATH}/openai/mine"));
    assert_eq!(shown.json["own_id"], made.json["id"]);
    assert_eq!(shown.json["usd_per_million"], Value::Null);
    let price = json!({"model": "openai/mine", "entry": {"usd": {"input": "1", "output": "2"}}});
    assert_status(&me.post("/api/v1/cost-intelligence/overrides", &price), 201);
    let priced = me.get(&format!("{PATH}/openai/mine"));
    assert_eq!(priced.json["usd_per_million"]["output_text"], "2");
    assert_problem(
        &me.post(
            &format!("{PATH}/own"),
            &json!({"model": "OpenAI/Mine", "facts": facts}),
        ),
        409,
        "conflict",
    );
    let other = app().tenant();
    assert_problem(&other.get(&format!("{PATH}/openai/mine")), 404, "not-found");
    let change =
        json!({"facts": {"kind": "chat", "name": "Ours", "input": ["text"], "output": ["text"]}});
    assert_problem(
        &me.put_with(&path, &[("if-match", "\"v9\"")], &change),
        412,
        "stale-version",
    );
    assert_status(&me.put_with(&path, &[], &change), 200);
    assert_eq!(me.get(&format!("{PATH}/openai/mine")).json["name"], "Ours");
    assert_status(&me.delete(&path), 204);
    assert_problem(&me.get(&format!("{PATH}/openai/mine")), 404, "not-found");
}

#[test]
fn what_is_no_entry_is_said() {
    let me = app().tenant();
    let facts = json!({"kind": "chat", "input": ["text"], "output": ["text"]});
    for (body, pointer) in [
        (json!({"model": "mine", "facts": facts}), "/model"),
        (json!({"model": "builtin/echo", "facts": facts}), "/model"),
        (
            json!({"model": "a/b", "facts": {"kind": "oracle"}}),
            "/facts",
        ),
        (
            json!({"model": "a/b", "facts": facts, "base_url": "https://u:p@a.example"}),
            "/base_url",
        ),
        (
            json!({"model": "a/b", "facts": facts, "base_url": "http://169.254.169.254/v1"}),
            "/base_url",
        ),
    ] {
        let reply = me.post(&format!("{PATH}/own"), &body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(
            reply.json["errors"][0]["pointer"], pointer,
            "{}",
            reply.text
        );
    }
}

#[test]
fn a_key_is_asked_what_it_may_use() {
    let me = app().tenant();
    let secret = json!({"name": "STANDIN_KEY", "value": "sk-test"});
    assert_status(&me.post("/api/v1/secrets", &secret), 201);
    let facts = json!({"kind": "chat", "input": ["text"], "output": ["text"]});
    let listed = reqwest::blocking::get(format!("{}/v1/models", app().llm.url)).unwrap();
    let listed: Value = listed.json().unwrap();
    let name = listed["data"][0]["id"].as_str().unwrap();
    let entry = json!({"model": format!("standin/{name}"), "base_url": format!("{}/v1", app().llm.url),
        "key_secret": "STANDIN_KEY", "facts": facts});
    assert_status(&me.post(&format!("{PATH}/own"), &entry), 201);
    let asked = me.post(&format!("{PATH}/check"), &json!({"providers": ["standin"]}));
    assert_status(&asked, 200);
    let answer = &asked.json["data"][0];
    assert_eq!(answer["status"], "usable", "{}", asked.text);
    assert!(
        answer["models"]
            .as_array()
            .unwrap()
            .contains(&entry["model"])
    );
    assert!(!asked.text.contains("sk-test"));
    let none = me.post(&format!("{PATH}/check"), &json!({"providers": ["openai"]}));
    assert_eq!(none.json["data"][0]["status"], "no_key", "{}", none.text);
    let usable = me.get(&format!("{PATH}?has_key=true&provider=standin"));
    assert_eq!(usable.json["data"][0]["id"], entry["model"]);
}

#[test]
fn the_cheapest_that_fits_comes_first() {
    let me = app().tenant();
    let need = json!({"capabilities": ["tools"], "input": ["image"], "prompt_tokens": 20_000,
        "completion_tokens": 500, "limit": 50});
    let reply = me.post(&format!("{PATH}/recommend"), &need);
    assert_status(&reply, 200);
    let usd = |row: &Value| {
        row["usd_per_request"]
            .as_str()
            .map(|text| text.parse::<f64>().unwrap())
    };
    let costs: Vec<f64> = reply.json["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(usd)
        .collect();
    assert!(costs.len() > 10 && costs.is_sorted(), "{costs:?}");
    let limit = json!({"prompt_tokens": 20_000, "max_usd": "0.001"});
    let cheap = me.post(&format!("{PATH}/recommend"), &limit);
    for row in cheap.json["data"].as_array().unwrap() {
        assert!(usd(row).unwrap() <= 0.001, "{row}");
    }
    let wrong = json!({"capabilities": ["mind_reading"], "max_usd": "cheap"});
    let reply = me.post(&format!("{PATH}/recommend"), &wrong);
    assert_problem(&reply, 400, "invalid-input");
    assert_eq!(reply.json["errors"].as_array().unwrap().len(), 2);
}

#[test]
fn tokens_are_counted_and_an_estimate_says_so() {
    let me = app().tenant();
    let count = |body: Value| {
        let reply = me.post(&format!("{PATH}/count-tokens"), &body);
        assert_status(&reply, 200);
        reply.json
    };
    // The numbers of OpenAI's own counting example.
    let text = "antidisestablishmentarianism";
    let counted = count(json!({"model": "openai/gpt-4o", "text": text}));
    assert_eq!(
        counted,
        json!({"tokens": 6, "method": "exact", "tokenizer": "o200k_base"})
    );
    assert_eq!(
        count(json!({"model": "openai/gpt-4", "text": text}))["tokens"],
        6
    );
    let each = count(json!({"model": "openai/gpt-4o", "texts": [text, "", text]}));
    assert_eq!(
        (&each["each"], &each["tokens"]),
        (&json!([6, 0, 6]), &json!(12))
    );
    let other = count(json!({"model": "anthropic/claude-sonnet-5", "text": text}));
    assert_eq!(other["method"], "estimate");
    let both = json!({"model": "openai/gpt-4o", "text": "a", "texts": ["a"]});
    assert_problem(
        &me.post(&format!("{PATH}/count-tokens"), &both),
        400,
        "invalid-input",
    );
}
