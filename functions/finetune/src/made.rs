//! The model that a job has made, as workflows name it.

use crate::model::Job;
use nodeai_finetune::provider::Dialect;
use nodeai_http::Problem;
use serde_json::{Map, Value, json};

/// A model with what a node needs to ask it.
pub struct Made<'a> {
    job: &'a Job,
    result: &'a str,
}

impl<'a> Made<'a> {
    /// Of a job. 409 while it has made none.
    pub fn of(job: &'a Job) -> Result<Self, Problem> {
        let result = job.result_model.as_deref();
        let result = result.ok_or_else(|| Problem::conflict("the job has not made a model"))?;
        Ok(Self { job, result })
    }

    fn named(&self, model: &str) -> String {
        let prefix = match self.job.provider {
            // A resource of Azure speaks OpenAI's protocol below its address.
            Dialect::Openai | Dialect::Azure => "openai",
            Dialect::Together => "together",
            Dialect::Mistral => "mistral",
            Dialect::Fireworks => "fireworks",
        };
        format!("{prefix}/{model}")
    }

    /// The name at the provider.
    pub fn result(&self) -> &str {
        self.result
    }

    /// The reference by which workflows name it.
    pub fn reference(&self) -> String {
        self.named(self.result)
    }

    /// The reference of the model that it was made of.
    pub fn base(&self) -> String {
        self.named(&self.job.base_model)
    }

    /// Where it answers, unless that is the provider's usual address. Fireworks trains under the address of an account and answers elsewhere;
    /// Azure answers below `/openai/v1` of the resource, where a deployment has the model's name.
    pub fn address(&self) -> Option<String> {
        let base = self.job.base_url.as_deref();
        match self.job.provider {
            Dialect::Fireworks => None,
            Dialect::Azure => base.map(|url| format!("{}/openai/v1", url.trim_end_matches('/'))),
            _ => base.map(str::to_owned),
        }
    }

    /// What an `llm` node has to say to ask a model where this one is. A key goes to nobody but the server of the job.
    pub fn asked(&self, model: String) -> Map<String, Value> {
        let mut data = Map::from_iter([("model".to_owned(), json!(model))]);
        if let Some(url) = self.address() {
            data.insert("base_url".to_owned(), json!(url));
        }
        if let Some(name) = &self.job.key_secret {
            let key = format!("{{{{ secrets.{name} }}}}");
            data.insert("api_key".to_owned(), json!(key));
        }
        data
    }

    /// A workflow in which nodes that ask the base ask this model. None when no node does.
    pub fn into_nodes(&self, definition: &Value) -> Option<Value> {
        let mut made = definition.clone();
        let asks_base = |data: &Value| {
            let model = data["model"].as_str();
            let there = data.get("base_url").and_then(Value::as_str);
            let same = there.is_none() || there == self.address().as_deref();
            same && (model == Some(self.base().as_str()) || model == Some(&self.job.base_model))
        };
        let nodes = made.get_mut("nodes")?.as_array_mut()?;
        let mut some = false;
        for node in nodes {
            let Some(data) = node.get_mut("data").filter(|data| asks_base(data)) else {
                continue;
            };
            data.as_object_mut()?.extend(self.asked(self.reference()));
            some = true;
        }
        some.then_some(made)
    }
}
