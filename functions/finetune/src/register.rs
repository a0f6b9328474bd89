//! `POST /api/v1/finetune/{id}/register`

use crate::FinetuneWrite;
use crate::made::Made;
use crate::provider::job;
use nodeai_app::{Caller, Created, Op, PathId, Valid, Write, clock};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How its model is entered.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterInput {
    /// What people read; the job's name unless given.
    #[serde(default)]
    name: Option<String>,
    /// Most tokens that it takes, where that is known.
    #[serde(default)]
    max_input_tokens: Option<u64>,
}

impl Check for RegisterInput {
    fn check(&self, c: &mut Checker) {
        c.length(self.name.as_deref().unwrap_or_default(), 0, 200, "/name");
    }
}

/// The entry, as `GET /api/v1/models/own/{id}` shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Registered {
    /// Id of the entry (UUIDv7).
    id: String,
    /// The reference by which workflows name the model.
    model: String,
}

/// Enters the model of a job that succeeded into the organisation's catalogue, so that workflows, the playground and evaluations can name
/// it. 409 before that, or when it is there already.
pub async fn handle(
    caller: Caller<FinetuneWrite>,
    PathId(id): PathId,
    Valid(input): Valid<RegisterInput>,
) -> Result<Created<Registered>, Problem> {
    let job = job(&caller, &id).await?;
    let made = Made::of(&job)?;
    let model = made.reference();
    let name = input.name.or_else(|| job.name.clone());
    let name = name.unwrap_or_else(|| made.result().to_owned());
    let mut facts = json!({"kind": "chat", "input": ["text"], "output": ["text"], "name": name,
        "note": format!("fine-tuned from {}, job {}", job.base_model, job.id)});
    if let Some(most) = input.max_input_tokens {
        facts["max_input_tokens"] = json!(most);
    }
    let entry = clock::new_id();
    let location = format!("/api/v1/models/own/{entry}");
    let row: Value = json!({"model": model, "base_url": made.address(), "key_secret": job.key_secret, "facts": facts});
    let write = Write::new(Op::Insert, "own_models", "model", &entry)
        .row(row)
        .audit("finetune.registered", json!({"job_id": job.id}))
        .answer(
            201,
            &[("location", &location)],
            &json!({"id": entry, "model": model}),
        );
    caller.write(write).await.map(Created::from)
}
