//! Fireworks, whose API is one of resources: a dataset is made, filled and checked, and a job refers to it by its name
//! (<https://docs.fireworks.ai/fine-tuning/fine-tuning-via-api>). A job has no events and no checkpoints there. Its REST reference has
//! `:resume`; `:cancel` is what its command line does, under the name that resources of its kind have.

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

use super::{Error, Order, Place, Step};
use crate::multipart::Form;

/// Where a dataset of examples stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// A job can refer to it.
    Ready,
    /// It is still looked at.
    Waiting,
}

impl Place {
    /// Makes a dataset that can be filled; `id` is drawn by the caller, of small letters, digits and hyphens.
    ///
    /// # Errors
    /// When the address or the key cannot be sent.
    pub fn make_dataset(&self, id: &str) -> Result<Request<Bytes>, Error> {
        let body = json!({"datasetId": id, "dataset": {"userUploaded": {}, "format": "CHAT"}});
        let body = Bytes::from(body.to_string());
        self.request(Method::POST, "datasets", "application/json", body)
    }

    /// Fills the dataset `id`; its answer is empty.
    pub(super) fn fill_dataset(
        &self,
        id: &str,
        content: &str,
        boundary: &str,
    ) -> Result<Request<Bytes>, Error> {
        let form = Form {
            fields: &[],
            file_name: "examples.jsonl",
            content,
        };
        let (kind, body) = form.write(boundary);
        let path = format!("datasets/{id}:upload");
        self.request(Method::POST, &path, &kind, body)
    }

    /// Asks how the dataset `id` stands.
    ///
    /// # Errors
    /// When the address or the key cannot be sent.
    pub fn ask_dataset(&self, id: &str) -> Result<Request<Bytes>, Error> {
        let path = format!("datasets/{id}");
        self.request(Method::GET, &path, "", Bytes::new())
    }

    /// How a dataset stands.
    ///
    /// # Errors
    /// When the answer does not say.
    pub fn read_dataset(&self, answer: &Value) -> Result<Readiness, Error> {
        match answer["state"].as_str() {
            Some("READY") => Ok(Readiness::Ready),
            Some(_) => Ok(Readiness::Waiting),
            None => Err(Error::Malformed("state of the dataset")),
        }
    }

    pub(super) fn fireworks_step(&self, step: Step, job: &str) -> Result<Request<Bytes>, Error> {
        let path = format!("{}/{job}", self.dialect.jobs());
        let act = |verb: &str| {
            let body = Bytes::from_static(b"{}");
            self.request(
                Method::POST,
                &format!("{path}:{verb}"),
                "application/json",
                body,
            )
        };
        match step {
            // What has happened is in the job itself.
            Step::Get | Step::Events => self.request(Method::GET, &path, "", Bytes::new()),
            Step::Cancel => act("cancel"),
            Step::Resume => act("resume"),
            Step::Pause => Err(Error::CannotDo("pause jobs")),
            Step::Checkpoints => Err(Error::CannotDo("name checkpoints")),
        }
    }
}

impl Order<'_> {
    pub(super) fn fireworks(&self) -> Value {
        let mut body = json!({"baseModel": self.model, "dataset": self.training_file});
        let optional = [
            ("evaluationDataset", self.validation_file.map(|v| json!(v))),
            ("outputModel", self.suffix.map(|v| json!(v))),
            ("epochs", self.epochs.map(|v| json!(v))),
            ("batchSizeSamples", self.batch_size.map(|v| json!(v))),
            ("learningRate", self.learning_rate.map(|v| json!(v))),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        body
    }
}

/// An answer in the form that the others have: names are paths of resources, of which a job's last part is its id.
pub(super) fn plain(answer: &Value) -> Value {
    let name = answer["name"].as_str().unwrap_or_default();
    let mut job = json!({"id": name.rsplit('/').next().filter(|id| !id.is_empty()),
        "status": answer["state"].as_str().map(|state| state.trim_start_matches("JOB_STATE_")),
        "fine_tuned_model": answer["outputModel"], "failure_reason": answer["status"]["message"],
        "finished_at": answer["completedTime"]});
    if answer["jobProgress"].is_object() {
        job["metadata"] = json!({"progress": answer["jobProgress"]});
    }
    job
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::*;

    fn place() -> Place {
        Place {
            dialect: Dialect::Fireworks,
            base_url: "https://p.example/v1/accounts/mine".to_owned(),
            key: "k".to_owned(),
        }
    }

    #[test]
    fn a_dataset_is_made_filled_and_asked_after() {
        let place = place();
        let made = place.make_dataset("d-1").expect("a request");
        assert_eq!(made.uri(), "https://p.example/v1/accounts/mine/datasets");
        let body: Value = serde_json::from_slice(made.body()).expect("JSON");
        assert_eq!(
            body,
            json!({"datasetId": "d-1", "dataset": {"userUploaded": {}, "format": "CHAT"}})
        );
        let filled = place.upload("d-1", "{}\n", "b").expect("a request");
        assert_eq!(
            filled.uri(),
            "https://p.example/v1/accounts/mine/datasets/d-1:upload"
        );
        let text = String::from_utf8_lossy(filled.body()).into_owned();
        assert!(text.contains("name=\"file\"") && !text.contains("purpose"));
        let states =
            ["READY", "UPLOADING"].map(|state| place.read_dataset(&json!({"state": state})));
        assert_eq!(states, [Ok(Readiness::Ready), Ok(Readiness::Waiting)]);
    }

    #[test]
    fn a_job_is_a_resource() {
        let place = place();
        let order = Order {
            model: "accounts/fireworks/models/m",
            training_file: "d-1",
            epochs: Some(2),
            suffix: Some("mine"),
            ..Order::default()
        };
        let made = place.create(&order).expect("a request");
        assert_eq!(
            made.uri(),
            "https://p.example/v1/accounts/mine/supervisedFineTuningJobs"
        );
        let body: Value = serde_json::from_slice(made.body()).expect("JSON");
        assert_eq!(
            body,
            json!({"baseModel": "accounts/fireworks/models/m", "dataset": "d-1", "epochs": 2, "outputModel": "mine"})
        );
        let job = json!({"name": "accounts/mine/supervisedFineTuningJobs/j1", "state": "JOB_STATE_COMPLETED",
            "outputModel": "accounts/mine/models/mine", "status": {"code": "OK", "message": ""}});
        let read = place.read_job(&job).expect("a job");
        assert_eq!((&*read.id, read.status), ("j1", "succeeded"));
        assert_eq!(
            read.result_model.as_deref(),
            Some("accounts/mine/models/mine")
        );
        let failed = json!({"name": "accounts/mine/supervisedFineTuningJobs/j1", "state": "JOB_STATE_FAILED",
            "status": {"code": "INTERNAL", "message": "no capacity"}});
        let read = place.read_job(&failed).expect("a job");
        assert_eq!(
            (read.status, read.error.as_deref()),
            ("failed", Some("no capacity"))
        );
        let uri = |step| place.step(step, "j1", None).map(|r| r.uri().to_string());
        let at = "https://p.example/v1/accounts/mine/supervisedFineTuningJobs/j1";
        assert_eq!(uri(Step::Cancel), Ok(format!("{at}:cancel")));
        assert_eq!(uri(Step::Events), Ok(at.to_owned()));
        assert_eq!(uri(Step::Pause), Err(Error::CannotDo("pause jobs")));
        assert_eq!(place.read_events(&job).expect("events"), []);
    }
}
