//! Providers' answers in our own words.

use serde_json::{Map, Value};

use super::fireworks::plain;
use super::{Checkpoint, Dialect, Error, Event, Job, Place};

impl Place {
    /// The id of an uploaded file.
    ///
    /// # Errors
    /// When the answer has none.
    pub fn read_file(&self, answer: &Value) -> Result<String, Error> {
        let id = answer["id"].as_str();
        id.map(str::to_owned)
            .ok_or(Error::Malformed("id of the file"))
    }

    /// How a job stands.
    ///
    /// # Errors
    /// When the answer is none.
    pub fn read_job(&self, answer: &Value) -> Result<Job, Error> {
        let resource = (self.dialect == Dialect::Fireworks).then(|| plain(answer));
        let answer = resource.as_ref().unwrap_or(answer);
        let id = answer["id"]
            .as_str()
            .ok_or(Error::Malformed("id of the job"))?;
        let state = answer["status"]
            .as_str()
            .ok_or(Error::Malformed("status"))?;
        let text = |names: &[&str]| {
            let mut found = names.iter().filter_map(|name| answer[*name].as_str());
            found.find(|text| !text.is_empty()).map(str::to_owned)
        };
        let status = status(state);
        let made = text(&["fine_tuned_model", "model_output_name", "output_name"]);
        let error = answer["error"]["message"].as_str().map(str::to_owned);
        let error = error.or_else(|| text(&["failure_reason", "message"]));
        let kept = [
            "estimated_finish",
            "finished_at",
            "result_files",
            "hyperparameters",
            "metadata",
        ];
        let kept = kept
            .iter()
            .filter(|name| !answer[**name].is_null())
            .map(|name| ((*name).to_owned(), answer[*name].clone()));
        Ok(Job {
            id: id.to_owned(),
            status,
            result_model: made.filter(|_| status == "succeeded"),
            error: error.filter(|_| status == "failed"),
            trained_tokens: answer["trained_tokens"]
                .as_i64()
                .or(answer["token_count"].as_i64()),
            metrics: Value::Object(kept.collect::<Map<String, Value>>()),
        })
    }

    /// What has happened, oldest first.
    ///
    /// # Errors
    /// When the answer is no list.
    pub fn read_events(&self, answer: &Value) -> Result<Vec<Event>, Error> {
        // A resource has a state and no list.
        if self.dialect == Dialect::Fireworks {
            return Ok(Vec::new());
        }
        let rows = answer["data"].as_array().or(answer["events"].as_array());
        let rows = rows.ok_or(Error::Malformed("list of events"))?;
        // Newest first, but at Together.
        let ordered: Vec<&Value> = match self.dialect {
            Dialect::Together => rows.iter().collect(),
            _ => rows.iter().rev().collect(),
        };
        let event = |(number, row): (usize, &Value)| Event {
            id: row["id"]
                .as_str()
                .map_or_else(|| format!("{}", number + 1), str::to_owned),
            at_s: row["created_at"].as_i64(),
            level: row["level"].as_str().unwrap_or("info").to_owned(),
            message: row["message"]
                .as_str()
                .or(row["name"].as_str())
                .unwrap_or_default()
                .to_owned(),
            data: row["data"].clone(),
        };
        Ok(ordered.into_iter().enumerate().map(event).collect())
    }

    /// Models on the way.
    ///
    /// # Errors
    /// When the answer is no list.
    pub fn read_checkpoints(&self, answer: &Value) -> Result<Vec<Checkpoint>, Error> {
        let rows = answer["data"]
            .as_array()
            .or(answer["checkpoints"].as_array());
        let rows = rows.ok_or(Error::Malformed("list of checkpoints"))?;
        let one = |(number, row): (usize, &Value)| {
            let step = row["step_number"].as_i64().or(row["step"].as_i64());
            let model = row["fine_tuned_model_checkpoint"].as_str();
            Checkpoint {
                id: row["id"]
                    .as_str()
                    .map_or_else(|| step.unwrap_or(number as i64).to_string(), str::to_owned),
                step,
                model: model.map(str::to_owned),
                metrics: row["metrics"].clone(),
            }
        };
        Ok(rows.iter().enumerate().map(one).collect())
    }
}

/// A provider's state in our own words. One that is not known is at work: only what is known ends a job.
fn status(state: &str) -> &'static str {
    match state.to_ascii_lowercase().as_str() {
        "validating_files" | "validating" | "validated" | "created" | "creating" => "checking",
        "queued" | "pending" | "notrunning" | "started" => "queued",
        "paused" => "paused",
        "succeeded" | "success" | "completed" => "succeeded",
        "failed" | "failed_validation" | "error" | "user_error" => "failed",
        "cancelled" | "canceled" => "cancelled",
        _ => "running",
    }
}
