//! `POST /api/v1/rag-evaluation/syntheses`

use super::model::Synthesis;
use crate::EvaluationsRun;
use crate::rules::create::pusd;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Command, Reply, Valid, clock};
use nodeai_evaluation::judged::Judge;
use nodeai_evaluation::metric::{Judged, Scale};
use nodeai_evaluation::synthesis::{MOST_OF_CHUNK, Relevant, Settings};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Questions to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SynthesisInput {
    /// The dataset that gets them.
    dataset_id: String,
    /// The knowledge base whose documents are asked about, by chunks of its active index.
    knowledge_base_id: String,
    /// Only documents whose metadata has all of this.
    #[serde(default)]
    filter: Map<String, Value>,
    /// At most so many, 1 to 5,000.
    questions: u32,
    /// Of one chunk, 1 to 5; 1 unless given.
    #[serde(default)]
    per_chunk: Option<u32>,
    /// What counts as relevant for a question: its `document` (as experiments need it) unless given, or its `chunk`.
    #[serde(default)]
    relevant: Relevant,
    /// What else the model is told, such as who asks: at most 2,000 characters.
    #[serde(default)]
    instructions: Option<String>,
    /// Who makes them: a model that answers by JSON Schema.
    judge: Judge,
    /// What it may cost in USD. Nothing more is queued once that is spent; the questions that there are are added then.
    #[serde(default)]
    budget_usd: Option<f64>,
    /// Asks a model whose price is not known although there is a budget.
    #[serde(default)]
    allow_unpriced: bool,
    /// The same seed draws the same chunks, as long as they stay.
    #[serde(default)]
    seed: u64,
}

impl Check for SynthesisInput {
    fn check(&self, c: &mut Checker) {
        let ids = [
            ("/dataset_id", &self.dataset_id),
            ("/knowledge_base_id", &self.knowledge_base_id),
        ];
        for (at, id) in ids {
            c.require(is_uuid(id), at, "format", "must be a UUID");
        }
        let questions = (1..=5_000).contains(&self.questions);
        let detail = "must be from 1 to 5000";
        c.require(questions, "/questions", "range", detail);
        let few = self
            .per_chunk
            .is_none_or(|n| (1..=MOST_OF_CHUNK).contains(&n));
        c.require(few, "/per_chunk", "range", "must be from 1 to 5");
        let told = self.instructions.as_deref().unwrap_or_default();
        c.length(told, 0, 2_000, "/instructions");
        // What it needs is what a rubric needs: a model alone.
        let rubric = Judged::Rubric {
            text: String::new(),
            scale: Scale::default(),
        };
        self.judge.check(c, &[rubric]);
        let budget = self
            .budget_usd
            .is_none_or(|usd| (1e-6..=1_000_000.0).contains(&usd));
        let detail = "must be from 0.000001 to 1000000";
        c.require(budget, "/budget_usd", "range", detail);
    }
}

/// Has questions made of documents, as whoever asks for it: each with its answer, and a quote that must be in the chunk. 202 with its
/// `Location`.
pub async fn handle(
    caller: Caller<EvaluationsRun>,
    Valid(input): Valid<SynthesisInput>,
) -> Result<Reply<Synthesis, 202>, Problem> {
    let id = clock::new_id();
    let per_chunk = input.per_chunk.unwrap_or(1);
    let settings = Settings {
        questions: per_chunk,
        relevant: input.relevant,
        instructions: input.instructions,
        allow_unpriced: input.allow_unpriced,
    };
    let row = json!({"dataset_id": input.dataset_id, "knowledge_base_id": input.knowledge_base_id, "settings": settings,
        "judge": input.judge, "questions": input.questions, "budget_pusd": pusd(input.budget_usd)});
    let location = format!("/api/v1/rag-evaluation/syntheses/{id}");
    let seed = input.seed.to_string();
    let args =
        json!({"id": id, "row": row, "per_chunk": per_chunk, "filter": input.filter, "seed": seed});
    let command = Command::named("synthesis_create", "dataset or knowledge base", &id, args)
        .audit("synthesis.created", json!({}))
        .answer(202, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Reply::from)
}
