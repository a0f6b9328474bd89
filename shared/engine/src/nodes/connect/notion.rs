//! `notion`: databases and pages (Notion API 2022-06-28, <https://developers.notion.com/reference>).

use serde_json::{Map, Value, json};

use super::{Call, Effect, Faults, NodeError, Operation, Read, Request, Service, part, some};

pub(super) const SERVICE: Service = Service {
    kind: "notion",
    title: "Notion",
    description: "Reads and writes pages of a Notion workspace.",
    base: "https://api.notion.com/v1",
    headers: &[("notion-version", "2022-06-28")],
    read: Read::Body,
    operations: &[
        Operation {
            name: "query_database",
            required: &["database_id"],
            optional: &["filter", "sorts", "page_size", "start_cursor"],
            request: |f| {
                let body = some(f, &["filter", "sorts", "page_size", "start_cursor"]);
                Request::send(
                    "POST",
                    format!("/databases/{}/query", part(f, "database_id")),
                    body,
                )
            },
        },
        Operation {
            name: "create_page",
            required: &["parent", "properties"],
            optional: &["children"],
            request: |f| {
                Request::send(
                    "POST",
                    "/pages",
                    some(f, &["parent", "properties", "children"]),
                )
            },
        },
        Operation {
            name: "update_page",
            required: &["page_id"],
            optional: &["properties", "archived"],
            request: |f| {
                let path = format!("/pages/{}", part(f, "page_id"));
                Request::send("PATCH", path, some(f, &["properties", "archived"]))
            },
        },
        Operation {
            name: "get_page",
            required: &["page_id"],
            optional: &[],
            request: |f| Request::get(format!("/pages/{}", part(f, "page_id")), Map::new()),
        },
        Operation {
            name: "append_blocks",
            required: &["page_id", "children"],
            optional: &[],
            request: |f| {
                let path = format!("/blocks/{}/children", part(f, "page_id"));
                Request::send("PATCH", path, some(f, &["children"]))
            },
        },
        Operation {
            name: "search",
            required: &[],
            optional: &["query", "filter", "page_size", "start_cursor"],
            request: |f| {
                let body = some(f, &["query", "filter", "page_size", "start_cursor"]);
                Request::send("POST", "/search", body)
            },
        },
    ],
    fields: || {
        json!({
            "database_id": {"type": "string"},
            "page_id": {"type": "string"},
            "parent": {"type": "object", "additionalProperties": {}, "description": "{database_id} or {page_id}"},
            "properties": {"type": "object", "additionalProperties": {}},
            "children": {"type": "array", "items": {}, "description": "Blocks"},
            "filter": {"type": "object", "additionalProperties": {}},
            "sorts": {"type": "array", "items": {}},
            "archived": {"type": "boolean"},
            "query": {"type": "string"},
            "page_size": {"type": "integer", "minimum": 1, "maximum": 100},
            "start_cursor": {"type": "string"},
        })
    },
    example: || {
        json!({"operation": "create_page", "connection": "notion", "parent": {"database_id": "{{ vars.leads }}"},
            "properties": {"Name": {"title": [{"text": {"content": "{{ inputs.name }}"}}]}}})
    },
};

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    SERVICE.decide(call)
}

pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    SERVICE.check(data, at, faults);
}
