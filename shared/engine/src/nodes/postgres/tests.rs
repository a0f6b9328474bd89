//! Statements, places and addresses, as they are and as they must not be.

use serde_json::{Map, Value, json};

use super::placeholders::typed;
use super::*;
use crate::nodes::{decide as decide_any, kind};
use crate::scope::Surroundings;
use crate::template::Templates;

fn decided(data: Value) -> Result<SqlCall, String> {
    let data: Map<String, Value> = data.as_object().cloned().unwrap();
    let templates = Templates::default();
    let around = Surroundings {
        inputs: json!({"name": "x'; DROP TABLE y; --"}),
        ..Surroundings::default()
    };
    let kind = kind("postgres").unwrap();
    let scope = around.scope();
    let effect = decide_any(
        "postgres",
        kind,
        &data,
        &templates,
        &scope,
        &Value::Null,
        &[],
    );
    match effect {
        Ok(Effect::Sql(call)) => Ok(*call),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.message),
    }
}

#[test]
fn values_go_beside_the_statement() {
    let call = decided(json!({
        "url": "postgres://me:pa%40ss@db.example:6543/shop?sslmode=require",
        "sql": "SELECT * FROM t WHERE name = $1 AND n > $2;",
        "params": ["{{ inputs.name }}", 3],
        "max_rows": 2,
    }));
    let call = call.unwrap();
    assert_eq!(
        call.address,
        "postgres://me:pa%40ss@db.example:6543/shop?sslmode=require"
    );
    assert_eq!(call.place.as_str(), "https://db.example:6543/");
    assert_eq!(call.params, ["x'; DROP TABLE y; --", "3"]);
    assert!(
        call.sql
            .contains("name = ($1::text) AND n > ($2::text)::bigint\n"),
        "{}",
        call.sql
    );
    assert!(call.sql.ends_with("LIMIT 3) q"), "{}", call.sql);
    assert!(!call.shown().to_string().contains("pa%40ss"));
    assert!(!format!("{call:?}").contains("pa%40ss"));
    let answer = call
        .finish(Some("[{\"n\":1},{\"n\":2},{\"n\":3}]"))
        .unwrap();
    assert_eq!(
        answer.output,
        json!({"row_count": 2, "rows": [{"n": 1}, {"n": 2}], "truncated": true})
    );
}

#[test]
fn a_statement_is_never_made_of_values() {
    let sql = "SELECT '{{ inputs.name }}'";
    let call = decided(json!({"url": "postgres://h/d", "sql": sql})).unwrap();
    assert!(call.sql.contains(sql), "{}", call.sql);
}

#[test]
fn a_url_leads_to_one_known_host() {
    for url in [
        "mysql://h/d",
        "postgres:///d",
        "postgres://a,b/d",
        "postgres://h/d?host=10.0.0.1",
        "postgres://h/d?hostaddr=10.0.0.1",
        "postgres://h/d?options=-c%20x",
        "postgres://h/d?sslmode=a%26host%3Db",
        "postgres://%2Fvar%2Frun/d",
        "host=h dbname=d",
    ] {
        let refused = decided(json!({"url": url, "sql": "SELECT 1"})).unwrap_err();
        assert!(refused.starts_with("/url: "), "{url}: {refused}");
    }
    // Guards and the driver read the same address.
    let odd = decided(json!({"url": "postgres://2130706433/d", "sql": "SELECT 1"})).unwrap();
    assert_eq!(odd.place.host_str(), Some("127.0.0.1"));
    assert_eq!(odd.address, "postgres://@127.0.0.1:5432/d");
}

#[test]
fn places_are_found_where_postgres_finds_them() {
    let value = [json!("x")];
    for (sql, expected) in [
        ("SELECT $1", "SELECT ($1::text)"),
        ("SELECT '$1', $1", "SELECT '$1', ($1::text)"),
        ("SELECT 'it''s $1', $1", "SELECT 'it''s $1', ($1::text)"),
        ("SELECT E'\\'$1', $1", "SELECT E'\\'$1', ($1::text)"),
        ("SELECT \"$1\", $1", "SELECT \"$1\", ($1::text)"),
        ("SELECT $$ $1 $$, $1", "SELECT $$ $1 $$, ($1::text)"),
        (
            "SELECT $a$ $1 $$ $a$, $1",
            "SELECT $a$ $1 $$ $a$, ($1::text)",
        ),
        ("SELECT $1 -- $2\n", "SELECT ($1::text) -- $2\n"),
        (
            "/* $2 /* */ $3 */ SELECT $1",
            "/* $2 /* */ $3 */ SELECT ($1::text)",
        ),
        ("SELECT a$1, $1 FROM b$2", "SELECT a$1, ($1::text) FROM b$2"),
        ("SELECT $1::uuid", "SELECT ($1::text)::uuid"),
        ("SELECT $1 'ü", "SELECT ($1::text) 'ü"),
    ] {
        assert_eq!(typed(sql, &value).unwrap().0, expected, "{sql}");
    }
}

#[test]
fn each_value_has_its_type_and_each_place_its_value() {
    let values = [
        json!(true),
        json!(1.5),
        json!(null),
        json!({"a": [1]}),
        json!(7),
    ];
    let (sql, params) = typed("SELECT $1, $2, $3, $4, $5", &values).unwrap();
    assert_eq!(
        sql,
        "SELECT ($1::text)::boolean, ($2::text)::numeric, NULL, ($3::text)::jsonb, ($4::text)::bigint"
    );
    assert_eq!(params, ["true", "1.5", "{\"a\":[1]}", "7"]);
    let missing = typed("SELECT $2", &[json!(1)]).unwrap_err().message;
    assert_eq!(missing, "/sql: $2 has no value; params has 1");
    let spare = typed("SELECT $1", &[json!(1), json!(2)])
        .unwrap_err()
        .message;
    assert_eq!(spare, "/params/1: the statement has no $2");
    assert!(typed("SELECT $0", &[]).is_err());
}
