//! Asking a model that gives numbers, batch by batch, each within what the run may spend.

use nodeai_engine::{MeasureCall, Model, NodeError};
use nodeai_llm::vectors::{Measured, Work};

use super::model::{MOST_LLM_BYTES, Unanswered};
use super::{Ended, Shared, Which, add_key, read};
use crate::{CachePort, Clock, Entropy, HttpPort, SecretPort, Sink};

impl<H: HttpPort, C: Clock, E: Entropy, S: SecretPort, L: Sink, K: CachePort>
    Shared<'_, H, C, E, S, L, K>
{
    /// Asks for all parts, one after the other. What the answered ones cost is told even when a later one fails.
    pub(super) async fn measure(&self, which: &Which, call: &MeasureCall) -> Ended {
        let begun_us = self.ports.clock.now_us();
        let prices = self.ports.budget.prices();
        let mut answers = Vec::with_capacity(call.batches().len());
        for work in call.batches() {
            let answer = match call.model() {
                Some(model) => self.measure_part(which, call, model, work).await,
                None => self.make_part(which, call, work).await,
            };
            match answer {
                Ok(answer) => answers.push(answer),
                Err(error) => return (call.spent(&answers, begun_us, &prices), Err(error)),
            }
        }
        call.finish(answers, begun_us, &prices)
    }

    async fn make_part(
        &self,
        which: &Which,
        call: &MeasureCall,
        work: &Work,
    ) -> Result<Measured, NodeError> {
        which.held.check_unsent()?;
        let answer = call.made_here(work);
        self.count(which, &call.reference(), answer.usage).await?;
        Ok(answer)
    }

    async fn measure_part(
        &self,
        which: &Which,
        call: &MeasureCall,
        model: &Model,
        work: &Work,
    ) -> Result<Measured, NodeError> {
        let endpoint = &model.endpoint;
        let key = self.key_of(which, model).await?;
        let mut request = endpoint.measure_request(work, key.as_deref())?;
        let uri = request.uri().to_string();
        let key = which.next_key(&[uri.as_bytes(), request.body().as_ref()]);
        add_key(request.headers_mut(), &key);
        self.check(which, &uri)?;
        let most = work.most_usage(request.body().len());
        let answer = async {
            let response = self.send_to(which, endpoint, request).await?;
            let whole = read(response.into_body(), MOST_LLM_BYTES).await;
            let answer = endpoint.parse_measured(work, &whole.map_err(Unanswered::paid)?);
            answer.map_err(Unanswered::paid)
        };
        if !self.metered().await? {
            return answer.await.map_err(Unanswered::into_error);
        }
        self.pay(
            which,
            &call.reference(),
            most,
            |answer| answer.usage,
            answer,
        )
        .await
    }
}
