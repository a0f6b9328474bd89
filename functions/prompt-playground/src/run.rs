//! `POST /api/v1/prompt-playground/run`

use crate::dataset::{self, DatasetRows};
use crate::{PromptsRun, rules};
use nodeai_app::{Caller, Valid};
use nodeai_http::{Check, Checker, Problem};
use nodeai_prompts::{Candidate, Template, Trial};
use nodeai_runs::{Ask, BudgetInput, Mode, Reply, plan, run};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What to ask whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialInput {
    /// The prompt.
    pub prompt: Template,
    /// The models, 1 to 8.
    pub models: Vec<Candidate>,
    /// Variables of the prompt; each row is asked by itself. At most 50 rows, 100 answers in all.
    #[serde(default)]
    pub rows: Vec<Map<String, Value>>,
    /// Rows from a dataset instead of `rows`.
    #[serde(default)]
    pub dataset: Option<DatasetRows>,
}

impl Check for TrialInput {
    fn check(&self, c: &mut Checker) {
        rules::template(c, &self.prompt, "/prompt");
        dataset::check(c, self.dataset.as_ref(), &self.rows);
        let rows = dataset::count(self.dataset.as_ref(), &self.rows);
        rules::candidates(c, &self.models, rows);
    }
}

/// A trial, and how it is answered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunInput {
    /// See [`TrialInput`].
    prompt: Template,
    /// The models, 1 to 8.
    models: Vec<Candidate>,
    /// Variables of the prompt; each row is asked by itself. At most 50 rows, 100 answers in all.
    #[serde(default)]
    rows: Vec<Map<String, Value>>,
    /// Rows from a dataset instead of `rows`.
    #[serde(default)]
    dataset: Option<DatasetRows>,
    /// Server-sent events as the answers come (the default), or one answer at the end.
    #[serde(default = "yes")]
    stream: bool,
    /// Keep prompt and answers with the run and its trace. Otherwise nothing is kept but what was used and what it cost.
    #[serde(default)]
    keep: bool,
    /// What the trial may cost.
    #[serde(default)]
    budget: Option<BudgetInput>,
}

fn yes() -> bool {
    true
}

impl Check for RunInput {
    fn check(&self, c: &mut Checker) {
        rules::template(c, &self.prompt, "/prompt");
        dataset::check(c, self.dataset.as_ref(), &self.rows);
        let rows = dataset::count(self.dataset.as_ref(), &self.rows);
        rules::candidates(c, &self.models, rows);
        if let Some(budget) = &self.budget {
            budget.check(c);
        }
    }
}

/// Asks all models at once. In the events, and in `outputs`, the node `r{row}m{model}` is the answer of the model with that
/// place in `models` to the row with that place in `rows`, both from 0; one that fails leaves the others alone.
pub async fn handle(
    caller: Caller<PromptsRun>,
    Valid(input): Valid<RunInput>,
) -> Result<Reply, Problem> {
    let rows = dataset::rows(&caller, input.dataset.as_ref(), input.rows).await?;
    let rows = rules::rendered(&input.prompt, &rows)?;
    let trial = Trial {
        template: &input.prompt,
        candidates: &input.models,
        rows: &rows,
    };
    let (definition, inputs) = (trial.definition(), trial.inputs());
    let ready = plan(&caller, &definition, inputs.clone()).await?;
    let ask = Ask {
        function: "run_start",
        what: "run",
        target: match input.keep {
            true => json!({"definition": definition}),
            false => json!({}),
        },
        ready: Some(ready),
        inputs,
        mode: match input.stream {
            true => Mode::Stream,
            false => Mode::Sync,
        },
        budget: input.budget.map(BudgetInput::limit).unwrap_or_default(),
        labels: Default::default(),
        private: !input.keep,
    };
    run(caller, ask).await
}
