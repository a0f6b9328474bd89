//! A request to one of the platform's own areas. None of the guard's rules apply, since its address is ours; secrets do not go there.

use bytes::Bytes;
use http::header;
use nodeai_engine::{
    AreaCall, AreaReply, CallMeta, FileContent, HttpCall, HttpReply, NodeError, NodeOutcome,
};
use nodeai_guard::EGRESS_FIELD;

use super::body::read;
use super::{Ended, Shared, Which, add_key, transport};
use crate::{CachePort, Clock, Entropy, HttpPort, SecretPort, Sink};

impl<H: HttpPort, C: Clock, E: Entropy, S: SecretPort, L: Sink, K: CachePort>
    Shared<'_, H, C, E, S, L, K>
{
    /// Asks an area as the run's owner.
    pub(super) async fn ask_area(&self, which: &Which, call: &AreaCall) -> Ended {
        match self.area_reply(which, call).await {
            Ok(reply) => call.finish(AreaReply {
                status: reply.status,
                headers: &reply.headers,
                body: &reply.body,
            }),
            Err(error) => (CallMeta::default(), Err(error)),
        }
    }

    async fn area_reply(&self, which: &Which, call: &AreaCall) -> Result<HttpReply, NodeError> {
        let key = self.ports.areas.key().await?;
        self.redactor.borrow_mut().add(&key);
        let (mut head, body) = call.request()?.into_parts();
        if !call.only_reads() {
            let again = which.next_key(&[head.uri.path().as_bytes(), &body]);
            add_key(&mut head.headers, &again);
        }
        let fields = [
            (header::AUTHORIZATION, format!("Bearer {key}")),
            (
                header::HeaderName::from_static("traceparent"),
                which.traceparent.clone(),
            ),
        ];
        for (name, value) in fields {
            if let Ok(mut value) = http::HeaderValue::from_str(&value) {
                value.set_sensitive(name == header::AUTHORIZATION);
                head.headers.insert(name, value);
            }
        }
        // What the area calls for this node is held to the same hosts.
        self.add_lists(which, &mut head.headers)?;
        let request = http::Request::from_parts(head, Bytes::from(body));
        let sent = self.ports.http.send(request, which.timeout_ms).await;
        let (head, body) = sent.map_err(transport)?.into_parts();
        Ok(HttpReply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: read(body, call.most_bytes()).await?,
        })
    }

    /// Says to which hosts a node is held: one field for each list.
    pub(super) fn add_lists(
        &self,
        which: &Which,
        headers: &mut http::HeaderMap,
    ) -> Result<(), NodeError> {
        let lists = self.plan.egress_of(&which.node).map(|list| list.join(","));
        for list in lists.chain(self.guard.lists()) {
            let list = http::HeaderValue::from_str(&list).map_err(|_| {
                NodeError::config("settings.egress cannot be sent as a header field".to_owned())
            })?;
            headers.append(EGRESS_FIELD, list);
        }
        Ok(())
    }

    /// Puts the bytes of the files that a request names into its body.
    pub(super) async fn attach(&self, which: &Which, call: &mut HttpCall) -> Result<(), NodeError> {
        let mut contents = Vec::with_capacity(call.files().len());
        for file in call.files() {
            let area = AreaCall::content_of(file);
            let reply = self.area_reply(which, &area).await?;
            if reply.status != 200 {
                let refused = area.finish(AreaReply {
                    status: reply.status,
                    headers: &reply.headers,
                    body: &reply.body,
                });
                let gone = || NodeError::new("file_missing", "the file cannot be read", false);
                return Err(refused.1.err().unwrap_or_else(gone));
            }
            let kind = reply.headers.get(header::CONTENT_TYPE);
            let kind = kind.and_then(|kind| kind.to_str().ok());
            contents.push(FileContent {
                content_type: kind.unwrap_or("application/octet-stream").to_owned(),
                bytes: reply.body,
            });
        }
        call.attach(&contents)
    }

    /// Stores an answer as a file where the node asks for that: its body is the reference then.
    pub(super) async fn keep(
        &self,
        which: &Which,
        call: &HttpCall,
        reply: HttpReply,
    ) -> Result<HttpReply, NodeError> {
        let Some((name, kind)) = call.stores(&reply) else {
            return Ok(reply);
        };
        let area = AreaCall::store(&name, kind.as_deref(), reply.body);
        let stored: NodeOutcome = self.ask_area(which, &area).await.1?;
        Ok(HttpReply {
            body: stored.output.to_string().into_bytes(),
            ..reply
        })
    }
}
