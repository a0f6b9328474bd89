//! Documents of both versions, and requests of their operations.

use super::*;
use crate::schema::Schema;
use crate::template::Values;
use serde_json::{Value, json};
use url::Url;

const PETS: &str = r##"
openapi: 3.0.3
info: {title: Pets, version: "1"}
servers:
  - url: https://{region}.pets.example/v1/
    variables: {region: {default: eu}}
security: [{key: []}]
paths:
  /pets/{petId}:
    parameters:
      - {name: petId, in: path, required: true, schema: {type: integer, minimum: 0, exclusiveMinimum: true}}
    get:
      operationId: getPet
      summary: One pet
      parameters:
        - {name: fields, in: query, schema: {type: array, items: {type: string}}}
        - {name: X-Trace, in: header, schema: {type: string}}
        - {name: petId, in: query, schema: {type: string}}
      responses:
        "200": {description: ok, content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}}
    put:
      operationId: get Pet
      security: []
      requestBody:
        required: true
        content:
          application/xml: {}
          application/json: {schema: {$ref: "#/components/schemas/Pet"}}
      responses: {"204": {description: done}}
    post:
      requestBody: {required: true, content: {multipart/form-data: {}}}
components:
  securitySchemes:
    key: {type: apiKey, in: query, name: api_key}
  schemas:
    Pet:
      type: object
      required: [name]
      properties:
        name: {type: string, nullable: true}
        friend: {nullable: true, allOf: [{$ref: "#/components/schemas/Pet"}]}
"##;

fn pets(config: &Config) -> Read {
    read(&Document::parse(PETS).unwrap(), config, None).unwrap()
}

#[test]
fn operations_become_functions() {
    let read = pets(&Config::default());
    let names: Vec<&str> = read.functions.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["getPet", "get_Pet"]);
    assert_eq!(read.left_out[0].name, "POST /pets/{petId}");
    let get = &read.functions[0];
    assert!(get.is_read_only());
    assert_eq!(get.title.as_deref(), Some("One pet"));
    assert_eq!(get.input_schema["required"], json!(["petId_path"]));
}

#[test]
fn schemas_are_complete_in_themselves_and_of_2020_12() {
    let read = pets(&Config::default());
    let input = Schema::read(&read.functions[0].input_schema).unwrap();
    let fine = |value: Value| input.check(&value, "").is_ok();
    assert!(fine(json!({"petId_path": 1, "fields": ["a"]})));
    assert!(!fine(json!({"petId_path": 0})), "the minimum is exclusive");
    assert!(!fine(json!({"petId_path": 1, "other": 1})));
    let output = Schema::read(read.functions[0].output_schema.as_ref().unwrap()).unwrap();
    let fine = |value: Value| output.check(&value, "").is_ok();
    assert!(fine(
        json!({"name": null, "friend": {"name": "x", "friend": null}})
    ));
    assert!(!fine(json!({"friend": {}})));
    assert!(
        !fine(json!({"name": "x", "friend": {"name": 1}})),
        "recursion stays one"
    );
}

#[test]
fn arguments_go_where_the_document_has_them() {
    let config = Config {
        security: [("key".to_owned(), Auth::Bearer("KEY".into()))].into(),
        ..Config::default()
    };
    let read = pets(&config);
    let operation = read.functions[0].operation.as_ref().unwrap();
    let values = Values::from([("KEY".into(), "hush".into())]);
    let arguments = json!({"petId_path": 7, "fields": ["a", "b c"], "X-Trace": "t", "petId": "q"});
    let mut request = operation.request(&config, &arguments, &values).unwrap();
    assert_eq!(
        request.url.as_str(),
        "https://eu.pets.example/v1/pets/7?fields=a&fields=b+c&petId=q"
    );
    assert_eq!(request.header("x-trace"), Some("t"));
    for auth in config.auths(operation) {
        Operation::apply(auth, &mut request, &values, None).unwrap();
    }
    assert!(request.url.query().unwrap().ends_with("&api_key=hush"));
    assert_eq!(
        config.secrets(operation).into_iter().collect::<Vec<_>>(),
        ["KEY"]
    );
    let put = read.functions[1].operation.as_ref().unwrap();
    assert!(
        config.auths(put).is_empty(),
        "this one is open to everybody"
    );
    let request = put
        .request(
            &config,
            &json!({"petId": 1, "body": {"name": "x"}}),
            &values,
        )
        .unwrap();
    assert_eq!(request.body.as_deref(), Some(br#"{"name":"x"}"#.as_slice()));
    assert_eq!(request.header("content-type"), Some("application/json"));
}

fn document(more: Value) -> Value {
    let mut all = json!({"openapi": "3.1.0", "info": {}, "servers": [{"url": "https://a.example"}], "paths": {}});
    let map = all.as_object_mut().unwrap();
    map.extend(more.as_object().unwrap().clone());
    all
}

fn one(operation: Value, path: &str) -> Operation {
    let root = document(json!({"paths": {path: {"get": operation}}}));
    let read = read(&Document::of(root).unwrap(), &Config::default(), None).unwrap();
    assert!(read.left_out.is_empty(), "{:?}", read.left_out);
    read.functions[0].operation.clone().unwrap()
}

fn url(operation: &Operation, arguments: Value) -> Option<String> {
    let request = operation
        .request(&Config::default(), &arguments, &Values::new())
        .ok()?;
    Some(request.url.as_str().replace("https://a.example", ""))
}

/// The table of the specification (section 4.8.12.4), encoded as URLs are.
#[test]
fn styles_are_those_of_the_specification() {
    let array = json!(["blue", "black"]);
    let object = json!({"R": 100, "G": 200});
    let query = |style: &str, explode: bool, value: &Value| {
        let parameter = json!({"name": "color", "in": "query", "style": style, "explode": explode, "schema": {}});
        url(
            &one(json!({"parameters": [parameter]}), "/x"),
            json!({"color": value}),
        )
        .unwrap()
    };
    assert_eq!(query("form", true, &array), "/x?color=blue&color=black");
    assert_eq!(query("form", false, &array), "/x?color=blue%2Cblack");
    assert_eq!(query("form", true, &object), "/x?R=100&G=200");
    assert_eq!(query("form", false, &object), "/x?color=R%2C100%2CG%2C200");
    assert_eq!(
        query("spaceDelimited", false, &array),
        "/x?color=blue+black"
    );
    assert_eq!(
        query("pipeDelimited", false, &array),
        "/x?color=blue%7Cblack"
    );
    assert_eq!(
        query("deepObject", true, &object),
        "/x?color%5BR%5D=100&color%5BG%5D=200"
    );
    let path = |style: &str, explode: bool, value: &Value| {
        let parameter = json!({"name": "color", "in": "path", "style": style, "explode": explode, "schema": {}});
        url(
            &one(json!({"parameters": [parameter]}), "/x/{color}"),
            json!({"color": value}),
        )
        .unwrap()
    };
    assert_eq!(path("simple", false, &array), "/x/blue,black");
    assert_eq!(path("simple", true, &object), "/x/R=100,G=200");
    assert_eq!(path("label", true, &array), "/x/.blue.black");
    assert_eq!(path("label", false, &json!("blue")), "/x/.blue");
    assert_eq!(path("matrix", true, &array), "/x/;color=blue;color=black");
    assert_eq!(path("matrix", false, &array), "/x/;color=blue,black");
}

#[test]
fn an_argument_does_not_lead_to_another_path() {
    let parameter = json!({"name": "a", "in": "path", "schema": {}});
    let operation = one(json!({"parameters": [parameter]}), "/x/{a}/y");
    assert_eq!(
        url(&operation, json!({"a": "b/../c?d#e"})).as_deref(),
        Some("/x/b%2F..%2Fc%3Fd%23e/y")
    );
    for bad in ["..", ".", "%2E%2e", ""] {
        assert_eq!(url(&operation, json!({"a": bad})), None, "{bad}");
    }
    let label = json!({"name": "a", "in": "path", "style": "label", "schema": {}});
    let operation = one(json!({"parameters": [label]}), "/x/{a}/y");
    assert_eq!(url(&operation, json!({"a": "."})), None);
    let header = json!({"name": "H", "in": "header", "schema": {}});
    let operation = one(json!({"parameters": [header]}), "/x");
    assert_eq!(url(&operation, json!({"H": "a\r\nB: c"})), None);
}

#[test]
fn what_leads_out_of_the_document_leaves_its_operation_out() {
    let schema = json!({"$ref": "https://evil.example/x.json"});
    let get = json!({"parameters": [{"name": "a", "in": "query", "schema": schema}]});
    let root = document(json!({"paths": {"/x": {"get": get}}}));
    let read = read(&Document::of(root).unwrap(), &Config::default(), None).unwrap();
    assert_eq!((read.functions.len(), read.left_out.len()), (0, 1));
    for bad in ["3.2", "swagger: '2.0'", "{\"openapi\": \"2.0\"}", "[", ""] {
        assert!(Document::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn operations_are_chosen_and_servers_found() {
    let get = json!({"operationId": "a"});
    let root = document(
        json!({"paths": {"/x": {"get": get, "post": {}}, "/y": {"get": {}}}, "servers": [{"url": "/api"}]}),
    );
    let document = Document::of(root).unwrap();
    let base = Url::parse("https://docs.example/v2/openapi.json").unwrap();
    let config = Config {
        operations: Some(vec!["a".into(), "POST /x".into()]),
        ..Config::default()
    };
    let found = read(&document, &config, Some(&base)).unwrap();
    let names: Vec<&str> = found.functions.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["a", "post_x"]);
    assert_eq!(
        found.functions[0].operation.as_ref().unwrap().server,
        "https://docs.example/api"
    );
    let nowhere = read(&document, &config, None).unwrap();
    assert_eq!(nowhere.left_out.len(), 2, "a server must be known");
    let own = Config {
        server: Some("https://own.example/base/".into()),
        ..Config::default()
    };
    let found = read(&document, &own, None).unwrap();
    assert_eq!(
        found.functions[0].operation.as_ref().unwrap().server,
        "https://own.example/base"
    );
}

#[test]
fn faults_of_a_configuration_have_their_pointers() {
    let config: Config =
        serde_json::from_value(json!({"document_url": "x", "server": "ftp://a.example",
        "security": {"a/b": {"bearer": "a b"}}, "headers": {"Host": "x", "Y": "{{ no }}"}}))
        .unwrap();
    let mut faults = Vec::new();
    config.check("/config", &mut faults);
    let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/config/document_url",
            "/config/server",
            "/config/security/a~1b",
            "/config/headers/Host",
            "/config/headers/Y"
        ]
    );
}
