//! `github`: issues, comments, files, workflow runs (GitHub REST API, <https://docs.github.com/en/rest>).

use serde_json::{Value, json};

use super::{
    Call, Effect, Faults, Fields, NodeError, Operation, Read, Request, Service, part, some,
};

pub(super) const SERVICE: Service = Service {
    kind: "github",
    title: "GitHub",
    description: "Works on issues and files of a repository.",
    base: "https://api.github.com",
    headers: &[
        ("accept", "application/vnd.github+json"),
        ("x-github-api-version", "2022-11-28"),
        ("user-agent", "nodeai"),
    ],
    read: Read::Body,
    operations: &[
        Operation {
            name: "create_issue",
            required: &["owner", "repo", "title"],
            optional: &["body", "labels", "assignees"],
            request: |f| {
                let body = some(f, &["title", "body", "labels", "assignees"]);
                Request::send("POST", repo(f, "/issues"), body)
            },
        },
        Operation {
            name: "update_issue",
            required: &["owner", "repo", "number"],
            optional: &["title", "body", "labels", "assignees", "state"],
            request: |f| {
                let body = some(f, &["title", "body", "labels", "assignees", "state"]);
                Request::send("PATCH", issue(f, ""), body)
            },
        },
        Operation {
            name: "get_issue",
            required: &["owner", "repo", "number"],
            optional: &[],
            request: |f| Request::get(issue(f, ""), Fields::new()),
        },
        Operation {
            name: "list_issues",
            required: &["owner", "repo"],
            optional: &["state", "labels", "per_page", "page"],
            request: |f| {
                let mut query = some(f, &["state", "per_page", "page"]);
                let labels = f
                    .get("labels")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten();
                let labels: Vec<_> = labels.filter_map(Value::as_str).collect();
                if !labels.is_empty() {
                    query.insert("labels".to_owned(), labels.join(",").into());
                }
                Request::get(repo(f, "/issues"), query)
            },
        },
        Operation {
            name: "comment",
            required: &["owner", "repo", "number", "body"],
            optional: &[],
            request: |f| Request::send("POST", issue(f, "/comments"), some(f, &["body"])),
        },
        Operation {
            name: "get_file",
            required: &["owner", "repo", "path"],
            optional: &["ref"],
            request: |f| {
                let path = f["path"].as_str().unwrap_or_default();
                let parts = path.split('/').map(|text| {
                    let only = Fields::from_iter([("part".to_owned(), Value::from(text))]);
                    part(&only, "part")
                });
                let path = parts.collect::<Vec<_>>().join("/");
                Request::get(repo(f, &format!("/contents/{path}")), some(f, &["ref"]))
            },
        },
        Operation {
            name: "run_workflow",
            required: &["owner", "repo", "workflow", "ref"],
            optional: &["inputs"],
            request: |f| {
                let path = format!("/actions/workflows/{}/dispatches", part(f, "workflow"));
                Request::send("POST", repo(f, &path), some(f, &["ref", "inputs"]))
            },
        },
    ],
    fields: || {
        json!({
            "owner": {"type": "string"},
            "repo": {"type": "string"},
            "title": {"type": "string"},
            "body": {"type": "string"},
            "labels": {"type": "array", "items": {"type": "string"}},
            "assignees": {"type": "array", "items": {"type": "string"}},
            "number": {"type": "integer", "minimum": 1},
            "state": {"type": "string", "enum": ["open", "closed", "all"]},
            "per_page": {"type": "integer", "minimum": 1, "maximum": 100},
            "page": {"type": "integer", "minimum": 1},
            "path": {"type": "string"},
            "ref": {"type": "string", "description": "Branch, tag or commit"},
            "workflow": {"type": "string", "description": "File name or id"},
            "inputs": {"type": "object", "additionalProperties": {}},
        })
    },
    example: || {
        json!({"operation": "create_issue", "connection": "github", "owner": "acme", "repo": "shop",
            "title": "{{ inputs.title }}", "labels": ["triage"]})
    },
};

fn repo(fields: &Fields, path: &str) -> String {
    format!(
        "/repos/{}/{}{path}",
        part(fields, "owner"),
        part(fields, "repo")
    )
}

fn issue(fields: &Fields, path: &str) -> String {
    repo(fields, &format!("/issues/{}{path}", part(fields, "number")))
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    SERVICE.decide(call)
}

pub(super) fn check(data: &Fields, at: &str, faults: &mut Faults) {
    SERVICE.check(data, at, faults);
}
