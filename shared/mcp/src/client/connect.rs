//! What a server speaks.

use super::{Client, Fault, Spoken, Transport};
use crate::rpc::{self, RpcError, code};
use crate::version::{self, Era, MODERN};
use serde_json::{Map, Value, json};

impl<T: Transport> Client<'_, T> {
    /// Finds out what the server speaks, unless that is known, and opens a session where its era has them.
    ///
    /// # Errors
    /// It cannot be reached, refuses the credentials, or speaks nothing that is spoken here.
    pub async fn connect(&self) -> Result<(), Fault> {
        match self.spoken() {
            Some(spoken) if version::era(&spoken.version) == Some(Era::Modern) => Ok(()),
            // What has been a session may be none any more.
            Some(_) => self.shake_hands().await,
            None if self.is_modern().await? => {
                self.speak(MODERN);
                Ok(())
            }
            None => self.shake_hands().await,
        }
    }

    fn speak(&self, version: &str) {
        self.spoken.replace(Some(Spoken {
            version: version.to_owned(),
            session: None,
        }));
    }

    /// Asks as only the stateless revision does. Whatever is no sign of it means that the server is an earlier one.
    async fn is_modern(&self) -> Result<bool, Fault> {
        let asked = self.ask_again("server/discover", Map::new(), &[]).await;
        match asked {
            Ok(found) => Ok(contains(&found["supportedVersions"], MODERN)),
            Err(
                Fault::Rpc(error)
                | Fault::Http {
                    error: Some(error), ..
                },
            ) if error.is_modern() => verdict(error),
            Err(Fault::Rpc(_)) => Ok(false),
            Err(Fault::Http { status, .. }) if (400..=501).contains(&status) => Ok(false),
            // A server that takes it for a notification, or sends a page.
            Err(Fault::Protocol(_)) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// A stateless request; a server that says that it does not speak this and does all the same is asked once more.
    async fn ask_again(
        &self,
        method: &str,
        params: Map<String, Value>,
        more: &[(String, String)],
    ) -> Result<Value, Fault> {
        let asked = self.ask(MODERN, method, params.clone(), more).await;
        match &asked {
            Err(
                Fault::Rpc(error)
                | Fault::Http {
                    error: Some(error), ..
                },
            ) if offers(error, MODERN) => self.ask(MODERN, method, params, more).await,
            _ => asked,
        }
    }

    async fn shake_hands(&self) -> Result<(), Fault> {
        self.speak(version::LEGACY[0]);
        let params = json!({"protocolVersion": version::LEGACY[0], "capabilities": self.capabilities,
            "clientInfo": self.info});
        let params = params.as_object().cloned().unwrap_or_default();
        let asked = self
            .ask(version::LEGACY[0], "initialize", params, &[])
            .await;
        let said = asked.inspect_err(|_| drop(self.spoken.take()))?;
        let agreed = said["protocolVersion"].as_str().unwrap_or_default();
        if version::era(agreed) != Some(Era::Legacy) {
            self.spoken.take();
            let why = format!("it speaks revision {agreed:?}, which is not spoken here");
            return Err(Fault::Protocol(why));
        }
        if let Some(spoken) = self.spoken.borrow_mut().as_mut() {
            agreed.clone_into(&mut spoken.version);
        }
        let ready = rpc::notification("notifications/initialized", json!({}));
        self.tell(agreed, &ready).await
    }

    /// Sends a request in whatever the server speaks. A session that has ended is opened anew, once.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn request(
        &self,
        method: &str,
        params: Map<String, Value>,
        more: &[(String, String)],
    ) -> Result<Value, Fault> {
        if self.spoken().is_none() {
            self.connect().await?;
        }
        let spoken = self.spoken().unwrap_or_else(|| Spoken {
            version: MODERN.to_owned(),
            session: None,
        });
        let asked = match version::era(&spoken.version) {
            Some(Era::Modern) => self.ask_again(method, params.clone(), more).await,
            _ => {
                self.ask(&spoken.version, method, params.clone(), more)
                    .await
            }
        };
        match asked {
            Err(Fault::Http { status: 404, .. }) if spoken.session.is_some() => {
                self.shake_hands().await?;
                self.ask(&spoken.version, method, params, more).await
            }
            Err(Fault::Http {
                error: Some(error), ..
            }) => Err(Fault::Rpc(error)),
            other => other,
        }
    }

    /// Ends the session, where there is one. A server that does not let clients do that is left as it is.
    pub async fn close(&self) {
        let Some(session) = self.spoken().and_then(|spoken| spoken.session) else {
            return;
        };
        let version = self
            .spoken()
            .map(|spoken| spoken.version)
            .unwrap_or_default();
        let request = http::Request::delete(&self.url)
            .header(crate::header::name::SESSION, session)
            .header(crate::header::name::VERSION, version)
            .body(bytes::Bytes::new());
        if let Ok(request) = request {
            // Nothing depends on it: sessions end by themselves too.
            let _ = self.transport.send(request).await;
        }
        self.spoken.take();
    }
}

/// What an error that only the stateless era has says about a server.
fn verdict(error: RpcError) -> Result<bool, Fault> {
    if error.code != code::UNSUPPORTED_VERSION {
        return Err(Fault::Rpc(error));
    }
    let supported = error.data.as_ref().map(|data| &data["supported"]);
    let legacy = |list: &Value| version::LEGACY.iter().any(|known| contains(list, known));
    match supported {
        Some(list) if legacy(list) => Ok(false),
        _ => Err(Fault::Rpc(error)),
    }
}

/// Whether an error says that a revision is spoken.
fn offers(error: &RpcError, version: &str) -> bool {
    let data = error.data.as_ref();
    error.code == code::UNSUPPORTED_VERSION
        && data.is_some_and(|data| contains(&data["supported"], version))
}

fn contains(list: &Value, text: &str) -> bool {
    let list = list.as_array();
    list.is_some_and(|all| all.iter().any(|one| one == text))
}
