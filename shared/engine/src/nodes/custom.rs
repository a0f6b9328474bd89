//! `custom.<name>`: a node type of somebody's own. It is a component that is reached by service chaining; what its config must
//! be, only it knows.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Call, CodeCall, Effect, Spec, port};
use crate::decide::handed_on;
use crate::egress::{CustomHosts, host_rule};
use crate::fault::{Fault, Faults};
use crate::log::NodeError;
use crate::schema::{Checker, Templates as Mode};

/// How the types of custom nodes begin.
pub const PREFIX: &str = "custom.";
/// What stands for all of them in the engine.
pub(crate) const KIND: &str = "custom";

/// The name in a type, if it is one of a custom node: lower-case letters, digits and hyphens, as in the id of a component.
pub fn name(kind: &str) -> Option<&str> {
    let name = kind.strip_prefix(PREFIX)?;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let holds = (1..=50).contains(&name.len()) && name.bytes().all(fits) && !name.starts_with('-');
    holds.then_some(name)
}

/// Where the component of a custom node answers.
pub fn url(name: &str) -> String {
    format!("http://node-{name}.spin.internal/")
}

pub(super) fn spec() -> Spec {
    Spec {
        kind: KIND.into(),
        title: "Custom node".into(),
        description: "A node type that this application was given".into(),
        category: "custom".into(),
        config_schema: json!({"type": "object", "properties": {}}),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "What it gives", json!({}))],
        example: json!({}),
    }
}

/// What a component says of its node.
#[derive(Debug, Deserialize)]
struct Description {
    title: String,
    description: String,
    config_schema: Value,
    output_schema: Value,
    example: Value,
    #[serde(default)]
    handles: Vec<String>,
    #[serde(default)]
    hosts: Vec<String>,
}

/// A custom node in the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// What there is of any node type.
    #[serde(flatten)]
    pub spec: Spec,
    /// The hosts that its component declares: it is taken to reach no others.
    pub hosts: Vec<String>,
}

impl Entry {
    /// The hosts of some entries, by their types.
    pub fn hosts_of(entries: &[Self]) -> CustomHosts {
        let hosts = entries.iter();
        hosts
            .map(|entry| (entry.spec.kind.clone(), entry.hosts.clone()))
            .collect()
    }
}

/// The catalogue's entry for a custom node, by its component's description; none when that is not one.
pub fn described(name: &str, description: &Value) -> Option<Entry> {
    let about = Description::deserialize(description).ok()?;
    let mut schema = about.config_schema;
    schema
        .as_object_mut()?
        .entry("properties")
        .or_insert(json!({}));
    let mut spec = Spec {
        kind: format!("{PREFIX}{name}"),
        title: about.title,
        description: about.description,
        config_schema: schema,
        outputs: vec![port("output", "What it gives", about.output_schema)],
        example: about.example,
        ..spec()
    };
    let more = about.handles.iter();
    spec.outputs
        .extend(more.map(|handle| port(handle, "What it gives", json!({}))));
    super::add_common(&mut spec);
    let hosts = about.hosts.iter().map(|host| {
        // What is no host is covered by no list but one that allows all.
        host_rule(&json!(host)).unwrap_or_else(|| host.trim().to_owned())
    });
    Some(Entry {
        spec,
        hosts: hosts.collect(),
    })
}

/// What is wrong with a config by the entry of its type, below `at`. Templates are taken for whatever they may give.
pub fn check(spec: &Spec, data: &Map<String, Value>, at: &str) -> Vec<Fault> {
    let mut faults = Faults::default();
    Checker {
        templates: Mode::Allowed,
        faults: &mut faults,
    }
    .check(&spec.config_schema, &Value::Object(data.clone()), at);
    faults.into_vec()
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let name = name(call.kind).ok_or_else(|| NodeError::config("not a custom node".to_owned()))?;
    let config: Map<String, Value> = call.config()?;
    let input = handed_on(call.incoming);
    Ok(Effect::Code(Box::new(CodeCall::of_node(
        name, config, input,
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_hold_the_name_of_a_component() {
        assert_eq!(name("custom.slug-2"), Some("slug-2"));
        for wrong in [
            "custom.",
            "custom.A",
            "custom.a.b",
            "custom.-a",
            "code",
            "custom.a/b",
            "custom.ä",
        ] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
        assert_eq!(name(&format!("custom.{}", "a".repeat(51))), None);
    }

    #[test]
    fn a_description_becomes_an_entry_with_the_common_settings() {
        let about = json!({"title": "Slug", "description": "Makes slugs", "config_schema": {"type": "object",
            "required": ["text"], "properties": {"text": {"type": "string"}}, "additionalProperties": false},
            "output_schema": {"type": "object"}, "example": {"text": "A b"}, "handles": ["empty"],
            "hosts": ["API.example.com", "*.b.example:8080"]});
        let entry = described("slug", &about).expect("an entry");
        assert_eq!(entry.hosts, ["api.example.com", "*.b.example:8080"]);
        assert_eq!(json!(entry)["hosts"][0], "api.example.com");
        let spec = entry.spec;
        assert_eq!(spec.kind, "custom.slug");
        let handles: Vec<&str> = spec.outputs.iter().map(|port| port.name.as_str()).collect();
        assert_eq!(handles, ["output", "empty", "error"]);
        let data = |value: Value| value.as_object().cloned().unwrap_or_default();
        assert!(
            check(
                &spec,
                &data(json!({"text": "{{ inputs.t }}", "retry": {"max_attempts": 2}})),
                "/d"
            )
            .is_empty()
        );
        let faults = check(&spec, &data(json!({"text": 5, "more": 1})), "/d");
        let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/d/text", "/d/more"]);
        assert!(described("slug", &json!({"title": "Slug"})).is_none());
    }
}
