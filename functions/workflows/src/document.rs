//! Faults of a definition and the hosts that it reaches, as the engine finds them.

use nodeai_app::{Caller, Scope, clock};
use nodeai_engine::custom::Entry;
use nodeai_engine::{CustomHosts, Fault};
use nodeai_http::{FieldError, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// All faults; none when the definition can run.
pub fn faults(definition: &Value) -> Vec<Fault> {
    nodeai_engine::validate(definition)
        .err()
        .unwrap_or_default()
}

/// All faults as wrong fields of a body that has the definition at `pointer`.
pub fn faults_below(pointer: &str, definition: &Value) -> Vec<FieldError> {
    let told = |fault: Fault| {
        let at = format!("{pointer}{}", fault.pointer);
        FieldError::body(at, &fault.code, fault.message)
    };
    faults(definition).into_iter().map(told).collect()
}

/// The hosts that runs of a definition, or of a version, reach.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Egress {
    /// The list that is held to: the author's (`settings.egress`), or the one that was confirmed. Null where there is none:
    /// then the organisation's policy says what may be called.
    pub declared: Option<Vec<String>>,
    /// Hosts that the nodes name, providers of models and what custom nodes declare included.
    pub hosts: Vec<String>,
    /// JSON pointers into the definition, to fields whose host is known only when a run gets there.
    pub open: Vec<String>,
    /// Who has made or confirmed the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<String>,
}

impl From<nodeai_engine::Egress> for Egress {
    fn from(found: nodeai_engine::Egress) -> Self {
        Self {
            declared: found.declared,
            hosts: found.hosts,
            open: found.open,
            ..Self::default()
        }
    }
}

impl Egress {
    /// Of a definition, by what custom nodes declare; and faults where those hosts are not in `settings.egress`, below
    /// `pointer`.
    pub fn with(
        definition: &Value,
        customs: &CustomHosts,
        pointer: &str,
    ) -> (Self, Vec<FieldError>) {
        let (found, faults) = nodeai_engine::egress_with(definition, customs);
        let told = |fault: Fault| {
            let at = format!("{pointer}{}", fault.pointer);
            FieldError::body(at, &fault.code, fault.message)
        };
        (found.into(), faults.into_iter().map(told).collect())
    }

    /// Of a definition that the caller is about to store, and its faults: the components of its custom nodes are asked.
    pub async fn asked<S: Scope>(
        caller: &Caller<S>,
        definition: &Value,
    ) -> (Self, Vec<FieldError>) {
        let customs = match nodeai_engine::customs_of(definition).is_empty() {
            true => CustomHosts::new(),
            false => {
                caller.session.release();
                Entry::hosts_of(&nodeai_custom::catalogue(&caller.cx).await)
            }
        };
        let (found, faults) = Self::with(definition, &customs, "/definition");
        let by = Some(caller.session.user_id().to_owned()).filter(|id| !id.is_empty());
        let now = clock::rfc3339(caller.cx.started_us);
        (found.confirmed(by, now), faults)
    }

    /// The same for what is stored now. Errors: 400 for hosts of custom nodes that are not in `settings.egress`.
    pub async fn to_store<S: Scope>(
        caller: &Caller<S>,
        definition: &Value,
    ) -> Result<Self, Problem> {
        let (found, faults) = Self::asked(caller, definition).await;
        match faults.is_empty() {
            true => Ok(found),
            false => Err(Problem::fields(faults)),
        }
    }

    /// Of a stored version's definition, where nothing was stored of it; custom nodes are left out.
    pub fn of(definition: &Value, author: Option<String>, at: &str) -> Self {
        let found = Self::from(nodeai_engine::egress(definition));
        found.confirmed(author, at.to_owned())
    }

    /// Whoever writes a list has confirmed it.
    fn confirmed(self, by: Option<String>, at: String) -> Self {
        match self.declared {
            Some(_) => Self {
                confirmed_by: by,
                confirmed_at: Some(at),
                ..self
            },
            None => self,
        }
    }

    /// What is stored with the version.
    pub fn stored(&self) -> Value {
        json!({"declared": self.declared, "hosts": self.hosts, "open": self.open})
    }

    /// What an author should look at: without a list, fields that may lead a run anywhere.
    pub fn warnings_below(&self, pointer: &str) -> Vec<FieldError> {
        let open = self.open.iter().filter(|_| self.declared.is_none());
        let detail = "the host is known only when a run gets here, so it may be any; list the hosts in settings.egress";
        open.map(|at| FieldError::body(format!("{pointer}{at}"), "egress_open", detail))
            .collect()
    }
}
