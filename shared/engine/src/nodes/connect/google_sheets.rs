//! `google_sheets`: cells of a spreadsheet (Google Sheets API v4, <https://developers.google.com/workspace/sheets/api>).

use serde_json::json;

use super::{
    Call, Effect, Faults, Fields, NodeError, Operation, Read, Request, Service, part, some,
};

pub(super) const SERVICE: Service = Service {
    kind: "google_sheets",
    title: "Google Sheets",
    description: "Reads and writes cells of a spreadsheet.",
    base: "https://sheets.googleapis.com/v4",
    headers: &[],
    read: Read::Body,
    operations: &[
        Operation {
            name: "read",
            required: &["spreadsheet_id", "range"],
            optional: &["major_dimension"],
            request: |f| {
                let major = f.get("major_dimension").cloned();
                let query = major.map(|major| ("majorDimension".to_owned(), major));
                Request::get(values(f, ""), query.into_iter().collect())
            },
        },
        Operation {
            name: "append",
            required: &["spreadsheet_id", "range", "values"],
            optional: &["raw"],
            request: |f| written("POST", f, ":append"),
        },
        Operation {
            name: "update",
            required: &["spreadsheet_id", "range", "values"],
            optional: &["raw"],
            request: |f| written("PUT", f, ""),
        },
        Operation {
            name: "clear",
            required: &["spreadsheet_id", "range"],
            optional: &[],
            request: |f| Request::send("POST", values(f, ":clear"), json!({})),
        },
    ],
    fields: || {
        json!({
            "spreadsheet_id": {"type": "string"},
            "range": {"type": "string", "description": "A1 notation, such as Leads!A:D"},
            "values": {"type": "array", "items": {}, "description": "Rows, each a list of cells"},
            "raw": {"type": "boolean", "description": "Stores texts as they are; else as if somebody had typed them"},
            "major_dimension": {"type": "string", "enum": ["ROWS", "COLUMNS"]},
        })
    },
    example: || {
        json!({"operation": "append", "connection": "google", "spreadsheet_id": "{{ vars.sheet }}", "range": "Leads!A:B",
            "values": [["{{ inputs.name }}", "{{ inputs.email }}"]]})
    },
};

fn values(fields: &Fields, verb: &str) -> String {
    let (id, range) = (part(fields, "spreadsheet_id"), part(fields, "range"));
    format!("/spreadsheets/{id}/values/{range}{verb}")
}

fn written(method: &'static str, fields: &Fields, verb: &str) -> Request {
    let raw = fields.get("raw").and_then(serde_json::Value::as_bool);
    let option = if raw == Some(true) {
        "RAW"
    } else {
        "USER_ENTERED"
    };
    let mut request = Request::send(method, values(fields, verb), some(fields, &["values"]));
    request
        .query
        .insert("valueInputOption".to_owned(), option.into());
    request
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    SERVICE.decide(call)
}

pub(super) fn check(data: &Fields, at: &str, faults: &mut Faults) {
    SERVICE.check(data, at, faults);
}
