//! A run's recording, or the answer that says why there is none.

use nodeai_app::errors::log;
use nodeai_app::{Caller, Scope};
use nodeai_engine::{Compiled, Definition, Fault, validate};
use nodeai_http::Problem;
use nodeai_runs::model::Stored;
use nodeai_runs::plan::compiled;
use nodeai_travel::Recording;
use serde::Deserialize;
use serde_json::{Value, json};

/// What the store has of a run.
#[derive(Deserialize)]
struct Found {
    execution: Stored,
    pieces: Vec<Value>,
    dropped: bool,
    #[serde(default)]
    workflow: Option<Ran>,
}

/// The workflow that ran.
#[derive(Deserialize)]
pub struct Ran {
    /// What it is made of: the stored version under a deployment's variables, or what came with the request.
    pub definition: Value,
    #[serde(default)]
    archived: bool,
}

/// A run and what it has recorded.
pub struct Recorded {
    /// The run.
    pub execution: Stored,
    /// Its log.
    pub recording: Recording,
    workflow: Option<Ran>,
}

/// Events from `first` to `last`, of a run that may still be under way. Errors: 404; 410 and 409 when nothing was kept.
pub async fn read<S: Scope>(
    caller: &Caller<S>,
    id: &str,
    (first, last): (u64, u64),
) -> Result<Recorded, Problem> {
    let args = json!({"id": id, "org_id": caller.org_id(), "first_seq": first, "last_seq": last});
    let found: Option<Found> = caller.call("run_recording", &args).await?;
    let recorded = recorded(found)?;
    match first {
        0 => recorded.kept(),
        _ => Ok(recorded),
    }
}

/// The whole recording of a run that has ended, with the workflow that ran. Errors: 404; 409 for a run under way or one that
/// kept nothing; 410 when it went by its retention.
pub async fn whole<S: Scope>(caller: &Caller<S>, id: &str) -> Result<Recorded, Problem> {
    let args = json!({"id": id, "org_id": caller.org_id(), "definition": true});
    let found: Option<Found> = caller.call("run_recording", &args).await?;
    let recorded = recorded(found)?;
    if recorded.execution.finished_us.is_none() {
        let detail = format!("the run {id} has not ended yet");
        return Err(Problem::conflict(detail).retry_after(1));
    }
    recorded.kept()
}

fn recorded(found: Option<Found>) -> Result<Recorded, Problem> {
    let found = found.ok_or_else(|| Problem::not_found("there is no such run"))?;
    if found.dropped {
        let detail = format!(
            "the recording of the run {} is past its retention; its outputs and its trace are still there",
            found.execution.id
        );
        return Err(Problem::recording_gone(detail));
    }
    let recording = Recording::read(found.pieces).map_err(|unreadable| {
        log("run_recording", &unreadable.to_string());
        Problem::internal("the recording cannot be read")
    })?;
    Ok(Recorded {
        execution: found.execution,
        recording,
        workflow: found.workflow,
    })
}

impl Recorded {
    fn kept(self) -> Result<Self, Problem> {
        if self.execution.finished_us.is_some() && self.recording.is_empty() {
            return Err(Problem::conflict(format!(
                "the run {} kept no recording: its workflow says so in settings.record, or its host was lost",
                self.execution.id
            )));
        }
        Ok(self)
    }

    /// The workflow that ran. Errors: 409 when it is not there for the caller any more.
    pub fn workflow(&self) -> Result<&Ran, Problem> {
        let gone = "the workflow that ran is not there any more";
        self.workflow
            .as_ref()
            .ok_or_else(|| Problem::conflict(gone))
    }

    /// The document that ran. Errors: 409.
    pub fn document(&self) -> Result<Definition, Problem> {
        validate(&self.workflow()?.definition).map_err(|faults| invalid(&faults))
    }

    /// What ran, with the workflows that it called. Errors: 409 when some of it is not there any more.
    pub async fn compiled<S: Scope>(&self, caller: &Caller<S>) -> Result<Compiled, Problem> {
        let compiled = compiled(caller, &self.workflow()?.definition).await?;
        let compiled = compiled.map_err(|faults| invalid(&faults))?;
        Ok(match self.execution.error_of {
            Some(_) => compiled.without_error_workflow(),
            None => compiled,
        })
    }
}

impl Ran {
    /// Errors: 409 for what is in the archive.
    pub fn may_run(&self) -> Result<(), Problem> {
        let detail = "the workflow is in the archive, where nothing runs; take it out first";
        match self.archived {
            true => Err(Problem::conflict(detail)),
            false => Ok(()),
        }
    }
}

fn invalid(faults: &[Fault]) -> Problem {
    let first = faults.first();
    let first = first.map(|fault| format!("{}: {}", fault.pointer, fault.message));
    Problem::conflict(format!(
        "what ran cannot run any more: {}",
        first.unwrap_or_default()
    ))
}
