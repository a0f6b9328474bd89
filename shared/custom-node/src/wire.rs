//! What travels between a run and a custom node, as JSON.

use nodeai_guard::covers;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One attempt.
#[derive(Debug, Deserialize)]
pub struct Job {
    /// `data` with its templates rendered.
    pub config: Value,
    /// What came in over the edges.
    #[serde(default)]
    pub input: Value,
    /// The same for every attempt.
    #[serde(default)]
    pub idempotency_key: String,
    /// Time that is left, in ms.
    #[serde(default)]
    pub timeout_ms: u64,
}

/// A node that cannot be described, or an answer that is no JSON.
#[derive(Debug, Serialize)]
pub struct Fault {
    /// What is wrong.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Where, and why.
    pub detail: String,
}

/// Reads a JSON text that a node gave.
///
/// # Errors
/// When it is none; says which one.
pub fn json(what: &'static str, text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|error| Fault {
        title: "Not JSON",
        status: 502,
        detail: format!("the node's {what} is not JSON: {error}"),
    })
}

/// The answer of a node that is not run: a host that it declares is not in one of the lists that its workflows have, as fields
/// named [`nodeai_guard::EGRESS_FIELD`]. None when it may run.
pub fn refused(hosts: &[String], lists: &[String]) -> Option<Value> {
    let listed = |host: &str, list: &str| list.split(',').any(|rule| covers(rule.trim(), host));
    let mut hosts = hosts.iter().map(|host| host.trim().to_ascii_lowercase());
    let outside = hosts.find(|host| !lists.iter().all(|list| listed(host, list)))?;
    let message = format!(
        "{outside}, which this node reaches, is not among the hosts of the workflow (settings.egress)"
    );
    let failure =
        json!({"kind": "egress_refused", "message": message, "pointer": null, "retryable": false});
    Some(json!({"logs": [], "failure": failure}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_named() {
        assert_eq!(
            json("output", "{\"a\": 1}").ok(),
            Some(serde_json::json!({"a": 1}))
        );
        let fault = json("output", "{").expect_err("no JSON");
        assert!(
            fault.detail.starts_with("the node's output is not JSON"),
            "{}",
            fault.detail
        );
    }

    #[test]
    fn a_node_is_refused_when_a_list_lacks_one_of_its_hosts() {
        let hosts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let two: Vec<String> = hosts(&["API.example.com", "b.example"]);
        let none: Vec<String> = Vec::new();
        for lists in [&[][..], &["*"], &["*.example.com, b.example", "*"]] {
            assert_eq!(refused(&two, &hosts(lists)), None, "{lists:?}");
        }
        for lists in [&[""][..], &["*", "b.example"], &["api.example.com"]] {
            let refused = refused(&two, &hosts(lists)).expect("refused");
            assert_eq!(refused["failure"]["kind"], "egress_refused", "{lists:?}");
            assert_eq!(super::refused(&none, &hosts(lists)), None);
        }
    }

    #[test]
    fn a_job_needs_a_config_alone() {
        let job: Job = serde_json::from_str(r#"{"config": {}}"#).expect("a job");
        assert_eq!((job.input, job.timeout_ms), (Value::Null, 0));
        assert!(serde_json::from_str::<Job>("{}").is_err());
    }
}
