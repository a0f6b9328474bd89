//! What is to be trained, in each provider's words.

use serde::Serialize;
use serde_json::{Value, json};

use super::Order;

fn put(body: &mut Value, name: &str, value: Option<impl Serialize>) {
    if let Some(value) = value {
        body[name] = json!(value);
    }
}

impl Order<'_> {
    pub(super) fn openai(&self) -> Value {
        let mut hyper = json!({});
        put(&mut hyper, "n_epochs", self.epochs);
        put(&mut hyper, "batch_size", self.batch_size);
        put(&mut hyper, "learning_rate_multiplier", self.learning_rate);
        let mut body = json!({"model": self.model, "training_file": self.training_file,
            "method": {"type": "supervised", "supervised": {"hyperparameters": hyper}}});
        put(&mut body, "validation_file", self.validation_file);
        put(&mut body, "suffix", self.suffix);
        put(&mut body, "seed", self.seed);
        body
    }

    pub(super) fn together(&self) -> Value {
        let mut body = json!({"model": self.model, "training_file": self.training_file});
        put(&mut body, "validation_file", self.validation_file);
        put(&mut body, "n_evals", self.validation_file.map(|_| 1));
        put(&mut body, "suffix", self.suffix);
        put(&mut body, "n_epochs", self.epochs);
        put(&mut body, "batch_size", self.batch_size);
        put(&mut body, "learning_rate", self.learning_rate);
        body
    }

    pub(super) fn mistral(&self) -> Value {
        let mut hyper = json!({});
        put(&mut hyper, "epochs", self.epochs);
        put(&mut hyper, "learning_rate", self.learning_rate);
        let mut body = json!({"model": self.model, "auto_start": true, "hyperparameters": hyper,
            "training_files": [{"file_id": self.training_file, "weight": 1}]});
        put(
            &mut body,
            "validation_files",
            self.validation_file.map(|file| [file]),
        );
        put(&mut body, "suffix", self.suffix);
        body
    }
}
