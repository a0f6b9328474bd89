//! Finding a job whose order was not answered: by the file that it learns from, which was uploaded for it alone.

use bytes::Bytes;
use http::{Method, Request};
use serde_json::Value;

use super::{Dialect, Error, Place};

impl Place {
    /// Asks for the newest jobs.
    ///
    /// # Errors
    /// When the address or the key cannot be sent.
    pub fn newest(&self) -> Result<Request<Bytes>, Error> {
        let few = match self.dialect {
            Dialect::Mistral => "page_size=100",
            Dialect::Fireworks => "pageSize=100",
            Dialect::Openai | Dialect::Azure | Dialect::Together => "limit=100",
        };
        let path = format!("{}?{few}", self.dialect.jobs());
        self.request(Method::GET, &path, "", Bytes::new())
    }

    /// The job of a list of jobs that learns from a file; none where no job does.
    pub fn of_file<'a>(&self, list: &'a Value, training_file: &str) -> Option<&'a Value> {
        let rows = [&list["data"], &list["supervisedFineTuningJobs"], list];
        let rows = rows.into_iter().find_map(Value::as_array)?;
        let is_it = |id: &Value| {
            // Fireworks writes a resource's whole name.
            let id = id.as_str().unwrap_or_default();
            id.rsplit('/').next() == Some(training_file)
        };
        rows.iter().find(|job| {
            let files = job["training_files"].as_array();
            let in_files = files.is_some_and(|files| {
                let mut ids = files.iter();
                ids.any(|file| is_it(file) || is_it(&file["file_id"]))
            });
            is_it(&job["training_file"]) || is_it(&job["dataset"]) || in_files
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(dialect: Dialect) -> Place {
        Place {
            dialect,
            base_url: "https://p.example/v1".to_owned(),
            key: "k".to_owned(),
        }
    }

    #[test]
    fn jobs_are_listed_as_each_provider_does() {
        let uri = |dialect| at(dialect).newest().expect("a request").uri().to_string();
        assert_eq!(
            uri(Dialect::Openai),
            "https://p.example/v1/fine_tuning/jobs?limit=100"
        );
        assert_eq!(
            uri(Dialect::Azure),
            "https://p.example/v1/openai/fine_tuning/jobs?limit=100&api-version=2024-10-21"
        );
        assert_eq!(
            uri(Dialect::Mistral),
            "https://p.example/v1/fine_tuning/jobs?page_size=100"
        );
        assert_eq!(
            uri(Dialect::Together),
            "https://p.example/v1/fine-tunes?limit=100"
        );
    }

    #[test]
    fn a_job_is_found_by_what_it_learns_from() {
        let openai = json!({"data": [{"id": "a", "training_file": "f-1"}, {"id": "b", "training_file": "f-2"}]});
        let found = at(Dialect::Openai)
            .of_file(&openai, "f-2")
            .expect("the job");
        assert_eq!(found["id"], "b");
        assert_eq!(at(Dialect::Openai).of_file(&openai, "f-3"), None);
        let mistral = json!({"data": [{"id": "m", "training_files": ["f-1", "f-9"]}]});
        assert!(at(Dialect::Mistral).of_file(&mistral, "f-9").is_some());
        let fireworks = json!({"supervisedFineTuningJobs": [{"name": "x", "dataset": "accounts/mine/datasets/d-1"}]});
        assert!(at(Dialect::Fireworks).of_file(&fireworks, "d-1").is_some());
        assert_eq!(at(Dialect::Fireworks).of_file(&json!({}), "d-1"), None);
    }
}
