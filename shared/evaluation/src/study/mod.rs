//! Studies: [`parameters`] of a workflow, each trial of which is the workflow with other values in its nodes. What has to be asked next,
//! and what it all comes to, is [`step`]: the same scores and the same seed say the same.

pub mod parameters;
pub mod step;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::Places;
use crate::judged::Judge;
use crate::metric::Spec;
use parameters::Parameter;

/// A study that was taken up.
#[derive(Debug, Clone, Deserialize)]
pub struct Taken {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub org_id: String,
    /// What fences whoever has lost the lease.
    pub lease_token: i64,
    /// What it is called.
    pub name: String,
    /// The workflow as it is.
    pub definition: Value,
    /// What is tried in it.
    pub parameters: Vec<Parameter>,
    /// What goes into it.
    #[serde(default)]
    pub target: Target,
    /// How it goes about it.
    pub settings: Settings,
    /// Who judges.
    #[serde(default)]
    pub judge: Option<Judge>,
    /// The same seed asks the same questions.
    #[serde(default)]
    pub seed: u64,
    /// How many questions there are.
    pub questions: usize,
}

/// What goes into each run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The input that takes the question when it is a text; `question` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Inputs that are the same for each question.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub inputs: Map<String, Value>,
}

/// How a study goes about it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Settings {
    /// By what the search is scored.
    pub screen: Spec,
    /// By what finalists are held against the workflow as it is.
    pub metric: Spec,
    /// Where the answer is among a run's outputs.
    #[serde(default)]
    pub places: Places,
    /// Runs at once of each evaluation.
    #[serde(default)]
    pub concurrency: u32,
    /// Whether models whose price is not known are asked although there is a budget.
    #[serde(default)]
    pub allow_unpriced: bool,
    /// Questions of the first round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<usize>,
}

/// What an evaluation of a trial has come to.
#[derive(Debug, Clone, Deserialize)]
pub struct Evaluated {
    /// The trial's number, from 1.
    trial: usize,
    /// The places of its questions.
    questions: Vec<usize>,
    /// Places with their scores.
    #[serde(default)]
    scores: Vec<(usize, f64)>,
    /// Places of those that the judge did not say anything about.
    #[serde(default)]
    unjudged: Vec<usize>,
    /// Mean, milliseconds.
    #[serde(default)]
    latency_ms: Option<f64>,
    /// Mean, USD.
    #[serde(default)]
    cost_usd: Option<f64>,
}
