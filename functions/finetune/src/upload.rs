//! Examples on their way to a provider.

use crate::provider::{Provider, unasked};
use nodeai_app::clock;
use nodeai_finetune::provider::{Dialect, Readiness};
use nodeai_http::Problem;

/// How often a dataset is asked after, and how long it rests between, ms.
const LOOKS: usize = 20;
const REST_MS: u64 = 500;

impl Provider {
    /// Uploads examples; returns what the provider calls them.
    ///
    /// Errors: those of [`Provider::send`].
    pub async fn upload(&self, what: &str, content: &str) -> Result<String, Problem> {
        match self.place.dialect {
            Dialect::Fireworks => self.fill(what, content).await,
            _ => {
                let name = format!("{what}.jsonl");
                let sent = self.place.upload(&name, content, &boundary());
                let answer = self.send(sent).await?;
                self.place.read_file(&answer).map_err(unasked)
            }
        }
    }

    /// Makes a dataset, fills it, and waits until it may be used.
    async fn fill(&self, what: &str, content: &str) -> Result<String, Problem> {
        let id = format!("nodeai-{what}-{}", clock::hex(&clock::random::<8>()));
        self.send(self.place.make_dataset(&id)).await?;
        let filled = self.place.upload(&id, content, &boundary());
        self.send(filled).await?;
        for _ in 0..LOOKS {
            let answer = self.send(self.place.ask_dataset(&id)).await?;
            if self.place.read_dataset(&answer).map_err(unasked)? == Readiness::Ready {
                return Ok(id);
            }
            self.rest(REST_MS).await;
        }
        let late = "the provider still looks at the examples; make the job again later";
        Err(Problem::unavailable(late).retry_after(60))
    }
}

fn boundary() -> String {
    format!("nodeai-{}", clock::hex(&clock::random::<16>()))
}
