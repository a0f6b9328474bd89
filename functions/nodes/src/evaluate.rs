//! `POST /api/v1/nodes/evaluate`

use crate::NodesRead;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use nodeai_app::{Caller, Valid, clock};
use nodeai_edge::http_client;
use nodeai_engine::{CodeCall, Evaluated, Fault, LogLine, NodeError, Surroundings, custom};
use nodeai_http::{Check, Checker, FieldError, Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Most time that code in a preview may take, in ms.
const CODE_MS: u64 = 5_000;

/// What to evaluate: exactly one of `expression`, `template` and `node`; and in which surroundings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// A bare expression, with or without braces, such as a condition's.
    #[serde(default)]
    expression: Option<String>,
    /// A text with templates, such as a prompt. One expression keeps its type.
    #[serde(default)]
    template: Option<String>,
    /// A node with its config.
    #[serde(default)]
    node: Option<Candidate>,
    /// `inputs` of the run.
    #[serde(default)]
    inputs: Map<String, Value>,
    /// Outputs of other nodes, by id.
    #[serde(default)]
    nodes: Map<String, Value>,
    /// Values that come into the node over edges, by the id of their source.
    #[serde(default)]
    incoming: Map<String, Value>,
    /// `vars` of the workflow.
    #[serde(default)]
    vars: Map<String, Value>,
    /// What the loops around the node let it see: `item`, `index`, `previous`, `loops`.
    #[serde(default)]
    locals: Map<String, Value>,
    /// `run.started_at`, which is also what "now" means; the time of this request unless given.
    #[serde(default)]
    started_at: Option<String>,
}

/// A node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Its type.
    #[serde(rename = "type")]
    kind: String,
    /// Its config.
    #[serde(default)]
    data: Map<String, Value>,
}

impl Check for Question {
    fn check(&self, c: &mut Checker) {
        let given = [
            self.expression.is_some(),
            self.template.is_some(),
            self.node.is_some(),
        ];
        let one = given.into_iter().filter(|given| *given).count() == 1;
        c.require(
            one,
            "/expression",
            "one_of",
            "give exactly one of expression, template and node",
        );
        let time = self
            .started_at
            .as_deref()
            .is_none_or(|text| clock::parse_rfc3339(text).is_some());
        c.require(time, "/started_at", "format", "must be a time in RFC 3339");
    }
}

/// What a run would give.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Answer {
    /// Whether it can be evaluated.
    ok: bool,
    /// The value; of a node its output.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Value>,
    /// Of a node: the handle whose edges it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<String>,
    /// Of a node that has something done (a call, its body, a wait): `{kind, request}`. Nothing is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<Value>,
    /// Of code: what it wrote to its console.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logs: Vec<Value>,
    /// Why it cannot: `kind` and `message`, which names field, line and column.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    /// Faults of the node's config, with a JSON pointer into the request body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<Value>,
}

/// Always 200 for what can be read: an expression with an error is a valid question. Secrets are shown as placeholders;
/// code is run, as in a run.
pub async fn handle(
    caller: Caller<NodesRead>,
    Valid(question): Valid<Question>,
) -> Result<Json<Answer>, Problem> {
    let started_at = question
        .started_at
        .unwrap_or_else(|| clock::rfc3339(caller.cx.started_us));
    let around = Surroundings {
        inputs: Value::Object(question.inputs),
        vars: Value::Object(question.vars),
        nodes: question.nodes,
        locals: question.locals,
        run: json!({"id": "preview", "trace_id": "preview", "started_at": started_at}),
        ..Surroundings::default()
    };
    Ok(Json::ok(
        match (question.expression, question.template, question.node) {
            (Some(text), ..) => Answer::of(nodeai_engine::evaluate_expression(&text, &around)),
            (_, Some(text), _) => Answer::of(nodeai_engine::evaluate_template(&text, &around)),
            (.., Some(node)) => {
                // Whatever the node has done takes longer than a connection should be held.
                caller.session.release();
                match config_faults(&caller, &node).await {
                    faults if faults.is_empty() => {
                        of_node(&node, &around, &question.incoming).await
                    }
                    faults => Answer::faulty(faults),
                }
            }
            _ => return Err(Problem::internal("nothing to evaluate")),
        },
    ))
}

/// What is wrong with a custom node's config, by what its component says.
async fn config_faults(caller: &Caller<NodesRead>, node: &Candidate) -> Vec<Fault> {
    let Some(name) = custom::name(&node.kind) else {
        return Vec::new();
    };
    match nodeai_custom::entry(&caller.cx, name).await {
        Some(entry) => custom::check(&entry.spec, &node.data, "/data"),
        None => vec![Fault {
            pointer: "/type".to_owned(),
            code: "unknown_type".to_owned(),
            message: format!("there is no custom node {name:?} here"),
        }],
    }
}

async fn of_node(node: &Candidate, around: &Surroundings, incoming: &Map<String, Value>) -> Answer {
    match nodeai_engine::evaluate_node(&node.kind, &node.data, around, incoming) {
        Err(faults) => Answer::faulty(faults),
        Ok(Err(error)) => Answer::of(Err(error)),
        Ok(Ok(Evaluated::Output { output, handle })) => Answer {
            handle: Some(handle),
            ..Answer::of(Ok(output))
        },
        Ok(Ok(Evaluated::Code(call))) => of_code(&call).await,
        Ok(Ok(Evaluated::Call { kind, request })) => Answer {
            ok: true,
            call: Some(json!({"kind": kind, "request": request})),
            ..Answer::default()
        },
    }
}

/// What the component that runs code makes of it.
async fn of_code(call: &CodeCall) -> Answer {
    let request = call.body("preview", CODE_MS).and_then(|body| {
        http::Request::post(call.url())
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .map_err(|error| NodeError::new("internal", error.to_string(), false))
    });
    let request = match request {
        Ok(request) => request,
        Err(error) => return Answer::of(Err(error)),
    };
    let Ok(reply) = http_client::send_buffered(request).await else {
        return Answer::of(Err(call.stopped()));
    };
    let (meta, result) = call.finish(reply.status().as_u16(), reply.body());
    let (handle, result) = match result {
        Ok(outcome) => (Some(outcome.handle), Ok(outcome.output)),
        Err(error) => (None, Err(error)),
    };
    Answer {
        handle,
        logs: meta.logs.into_iter().map(shown).collect(),
        ..Answer::of(result)
    }
}

fn shown(line: LogLine) -> Value {
    json!({"level": line.level, "text": line.text})
}

impl Answer {
    fn faulty(faults: Vec<Fault>) -> Self {
        let told = |fault: Fault| {
            FieldError::body(
                format!("/node{}", fault.pointer),
                &fault.code,
                fault.message,
            )
        };
        let faults = faults.into_iter().map(told);
        Self {
            faults: faults
                .filter_map(|fault| serde_json::to_value(fault).ok())
                .collect(),
            ..Self::default()
        }
    }

    fn of(result: Result<Value, NodeError>) -> Self {
        match result {
            Ok(output) => Self {
                ok: true,
                output: Some(output),
                ..Self::default()
            },
            Err(error) => Self {
                error: Some(json!({"kind": error.kind, "message": error.message})),
                ..Self::default()
            },
        }
    }
}
