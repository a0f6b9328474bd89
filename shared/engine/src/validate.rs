//! From a document to something that can run: every fault is found here, before anything
//! is stored or started.

mod loops;
mod shape;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::budget;
use crate::document::{self, Definition, Node};
use crate::egress;
use crate::fault::{Fault, Faults, token};
use crate::filters;
use crate::graph::Graph;
use crate::nodes::code::scan;
use crate::nodes::{self, COMMON, Flow, Join, Role, WorkflowRef};
use crate::plan::{Checked, Compiled, Ready, RunSettings};
use crate::schema::{Checker, Templates as Mode};
use crate::settings::Settings;
use crate::template::{References, Templates, is_template};

/// Checks a document.
///
/// # Errors
/// Every fault, up to 100, each with its JSON pointer.
pub fn validate(document: &Value) -> Result<Definition, Vec<Fault>> {
    compile(document).map(Compiled::into_definition)
}

/// Checks a document and prepares it to run. Workflows that it calls are not there: such a
/// node fails when its turn comes.
///
/// # Errors
/// As for [`validate`].
pub fn compile(document: &Value) -> Result<Compiled, Vec<Fault>> {
    let definition = document::read(document)?;
    let templates = Templates::new();
    let checked = check(definition, &templates)?;
    Ok(Compiled::new(vec![checked], &BTreeMap::new(), templates))
}

/// Checks a document and those that it calls, and prepares them to run. [`calls`] says which
/// are needed.
///
/// # Errors
/// As for [`validate`]; faults of a called workflow point to the node that calls it.
pub fn compile_with(
    document: &Value,
    library: &BTreeMap<WorkflowRef, Value>,
) -> Result<Compiled, Vec<Fault>> {
    let definition = document::read(document)?;
    let templates = Templates::new();
    let mut checked = vec![check(definition, &templates)?];
    let mut known = BTreeMap::new();
    let mut next = 0;
    while let Some(one) = checked.get(next) {
        let mut faults = Faults::default();
        let mut found = Vec::new();
        for (at, which) in calls_of(&one.definition, &one.settings) {
            if known.contains_key(&which) || found.iter().any(|(of, _)| *of == which) {
                continue;
            }
            let callee = library.get(&which).map(document::read);
            match callee.map(|read| read.and_then(|callee| check(callee, &templates))) {
                None => {
                    let message = format!(
                        "there is no version {} of the workflow {}",
                        which.version, which.workflow_id
                    );
                    faults.add(at, "unknown_workflow", message);
                }
                Some(Err(inner)) => {
                    let first = inner
                        .first()
                        .map(|fault| format!("{}: {}", fault.pointer, fault.message));
                    let message =
                        format!("that workflow is not valid: {}", first.unwrap_or_default());
                    faults.add(at, "invalid_workflow", message);
                }
                Some(Ok(callee)) => found.push((which, callee)),
            }
        }
        if !faults.none() {
            return Err(faults.into_vec());
        }
        for (which, callee) in found {
            known.insert(which, checked.len());
            checked.push(callee);
        }
        next += 1;
    }
    Ok(Compiled::new(checked, &known, templates))
}

/// The versions of workflows that a document calls itself; faulty ones are left out.
pub fn calls(document: &Value) -> Vec<WorkflowRef> {
    let mut found = BTreeSet::new();
    let nodes = document["nodes"].as_array().into_iter().flatten();
    for node in nodes.filter(|node| node["type"] == "workflow") {
        found.extend(node["data"].as_object().and_then(WorkflowRef::read));
    }
    let on_failure = document["settings"]["error_workflow"].as_object();
    found.extend(on_failure.and_then(WorkflowRef::read));
    found.into_iter().collect()
}

fn calls_of(definition: &Definition, settings: &RunSettings) -> Vec<(String, WorkflowRef)> {
    let nodes = definition.nodes.iter().enumerate();
    let calls = nodes.filter_map(|(i, node)| match Flow::read(&node.kind, &node.data) {
        Flow::Call(which) => Some((format!("/nodes/{i}/data/workflow_id"), which)),
        _ => None,
    });
    let on_failure = settings.error_workflow.clone();
    let on_failure = on_failure.map(|which| ("/settings/error_workflow".to_owned(), which));
    calls.chain(on_failure).collect()
}

fn check(definition: Definition, templates: &Templates) -> Result<Checked, Vec<Fault>> {
    let mut faults = Faults::default();
    check_ids(&definition, &mut faults);
    let settings = read_settings(&definition, &mut faults);
    let kinds: HashMap<&str, &str> = definition
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node.kind.as_str()))
        .collect();
    let ready: Vec<Option<Ready>> = definition
        .nodes
        .iter()
        .enumerate()
        .map(|(i, node)| {
            let names = loops::names(node, &kinds);
            read_node(
                i,
                node,
                &format!("/nodes/{i}"),
                &names,
                templates,
                &mut faults,
            )
        })
        .collect();
    let graph = Graph::of(&definition);
    shape::check_edges(&definition, &graph, &ready, &mut faults);
    let loops_fit = loops::check(&definition, &graph, &ready, &mut faults);
    shape::check_shape(&definition, &graph, &ready, loops_fit, &mut faults);
    faults.into_result(Checked {
        definition,
        nodes: ready.into_iter().flatten().collect(),
        settings,
    })
}

fn read_settings(definition: &Definition, faults: &mut Faults) -> RunSettings {
    let settings = definition.extra.get("settings");
    let of = |name: &str| settings.and_then(|settings| settings.get(name));
    let mut read = RunSettings::default();
    if let Some(handler) = of("error_workflow").filter(|handler| !handler.is_null()) {
        read.error_workflow = handler.as_object().and_then(WorkflowRef::read);
        if read.error_workflow.is_none() {
            let message = "expected {workflow_id, version}: a UUID and a whole number";
            faults.add("/settings/error_workflow", "wrong_type", message);
        }
    }
    if let Some(most) = of("max_concurrency").filter(|most| !most.is_null()) {
        let count = most.as_u64().and_then(|most| u32::try_from(most).ok());
        read.max_concurrency = count.filter(|most| (1..=1_000).contains(most));
        if read.max_concurrency.is_none() {
            let message = "expected a whole number from 1 to 1000";
            faults.add("/settings/max_concurrency", "out_of_range", message);
        }
    }
    if let Some(record) = of("record").filter(|record| !record.is_null()) {
        match serde_json::from_value(record.clone()) {
            Ok(record) => read.record = record,
            Err(_) => {
                let message = "expected \"all\", \"failures\" or \"none\"";
                faults.add("/settings/record", "not_allowed", message);
            }
        }
    }
    if let Some(most) = of("budget").filter(|most| !most.is_null()) {
        read.budget = budget::read(most, "/settings/budget", faults);
    }
    if let Some(hosts) = of("egress").filter(|hosts| !hosts.is_null()) {
        read.egress = egress::read(hosts, definition, faults);
    }
    read
}

fn check_ids(definition: &Definition, faults: &mut Faults) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (i, node) in definition.nodes.iter().enumerate() {
        if let Some(first) = seen.insert(&node.id, i) {
            let message = format!("{:?} is also the id of /nodes/{first}", node.id);
            faults.add(format!("/nodes/{i}/id"), "duplicate_id", message);
        }
    }
}

pub(crate) fn read_node(
    i: usize,
    node: &Node,
    at: &str,
    names: &[&'static str],
    templates: &Templates,
    faults: &mut Faults,
) -> Option<Ready> {
    let Some(kind) = nodes::kind(&node.kind) else {
        let known: Vec<&str> = nodes::kinds()
            .iter()
            .map(|kind| kind.spec.kind.as_str())
            .collect();
        let message = format!(
            "unknown node type {:?}; known are {} and custom.<name>",
            node.kind,
            known.join(", ")
        );
        faults.add(format!("{at}/type"), "unknown_type", message);
        return None;
    };
    let at = format!("{at}/data");
    let schema = &kind.spec.config_schema;
    let data = Value::Object(node.data.clone());
    Checker {
        templates: Mode::Allowed,
        faults,
    }
    .check(schema, &data, &at);
    (kind.check)(&node.data, &at, faults);
    let settings = Settings::read(&node.data, &at, faults);
    let mut finder = Finder {
        templates,
        names,
        field: Vec::new(),
        found: References::default(),
        local: BTreeSet::new(),
        faults,
    };
    finder.settings(&settings, &at);
    for (name, value) in node
        .data
        .iter()
        .filter(|(name, _)| !COMMON.contains(&name.as_str()))
    {
        let schema = &schema["properties"][name.as_str()];
        let at = format!("{at}/{}", token(name));
        finder.field = nodes::names(schema, &node.data);
        finder.look(value, schema, Role::Template, &at);
    }
    let (references, local) = (finder.found, finder.local);
    let has_some = !references.secrets.is_empty() || !references.waits.is_empty();
    if nodes::sees_no_secrets(&node.kind) && has_some {
        let message = format!("a node of type {} does not see secrets", node.kind);
        faults.add(at, "not_allowed", message);
    }
    Some(Ready {
        kind,
        settings,
        references,
        local,
        flow: Flow::read(&node.kind, &node.data),
        join: Join::read(&node.kind, &node.data),
        at: i,
        body: None,
    })
}

/// Compiles every template below a value. The document's depth is bounded.
struct Finder<'a> {
    templates: &'a Templates,
    /// The names of loops that are known here.
    names: &'a [&'static str],
    /// Names of the field alone that is looked at.
    field: Vec<&'a str>,
    found: References,
    local: BTreeSet<String>,
    faults: &'a mut Faults,
}

impl Finder<'_> {
    /// The two settings that are expressions.
    fn settings(&mut self, settings: &Settings, at: &str) {
        if let Some(text) = &settings.skip_if {
            self.compile(text, Role::Expression, &format!("{at}/skip_if"));
        }
        let Some(text) = &settings.retry.retry_if else {
            return;
        };
        let at = format!("{at}/retry/retry_if");
        let mut names = self.names.to_vec();
        names.extend(["error", "attempt"]);
        let mut own = Finder {
            templates: self.templates,
            names: &names,
            field: Vec::new(),
            found: References::default(),
            local: BTreeSet::new(),
            faults: &mut *self.faults,
        };
        own.compile(text, Role::Expression, &at);
        let (found, local) = (own.found, own.local);
        if !found.secrets.is_empty() || !found.waits.is_empty() {
            let message = "secrets and addresses of waits are not known here";
            self.faults.add(at, "not_allowed", message);
        }
        self.found.extend(found);
        self.local.extend(local);
    }

    /// What a schema says of strings holds below it too.
    fn look(&mut self, value: &Value, schema: &Value, above: Role, at: &str) {
        let role = match nodes::role(schema) {
            Role::Template => above,
            own => own,
        };
        match value {
            _ if matches!(role, Role::Literal | Role::Code) => {
                Checker {
                    templates: Mode::Plain,
                    faults: self.faults,
                }
                .check(schema, value, at);
                if let (Role::Code, Value::String(source)) = (role, value) {
                    self.code(source, at);
                }
            }
            Value::String(text) => self.compile(text, role, at),
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.look(item, &schema["items"], role, &format!("{at}/{i}"));
                }
            }
            Value::Object(map) => {
                for (name, value) in map {
                    let known = schema["properties"].get(name);
                    let schema = known.unwrap_or(&schema["additionalProperties"]);
                    self.look(value, schema, role, &format!("{at}/{}", token(name)));
                }
            }
            _ => {}
        }
    }

    /// What JavaScript uses of our names.
    fn code(&mut self, source: &str, at: &str) {
        let uses = scan::uses(source);
        let local = self.names.iter();
        let local = local.filter(|name| scan::mentions(source, name));
        self.local.extend(local.map(|name| (*name).to_owned()));
        if uses.secrets {
            self.faults
                .add(at, "not_allowed", "code does not see secrets");
        }
        if uses.every {
            self.found.computed.insert("nodes".to_owned());
        }
        self.found.nodes.extend(uses.nodes);
        self.found.mentioned.extend(uses.mentioned);
    }

    fn compile(&mut self, text: &str, role: Role, at: &str) {
        let found = match role {
            // Not compiled: these stay as they are.
            Role::Literal | Role::Code => return,
            Role::Template if !is_template(text) => return,
            Role::Template => self.templates.check(text),
            Role::Expression => self.templates.check_expression(text),
        };
        match found {
            Ok(found) => {
                for name in filters::unknown(text, role == Role::Expression) {
                    self.faults
                        .add(at, "unknown_filter", format!("there is no filter {name:?}"));
                }
                for name in &found.unknown {
                    let name = name.as_str();
                    // A field's own name may hide a loop's, but only in what is done once per item.
                    if self.names.contains(&name) {
                        self.local.insert(name.to_owned());
                    } else if !self.field.contains(&name) {
                        let ours = ["inputs", "nodes", "vars", "secrets", "run", "waits"];
                        let known = [self.field.as_slice(), self.names, &ours]
                            .concat()
                            .join(", ");
                        let message = format!("unknown name {name:?}; known are {known}");
                        self.faults.add(at, "unknown_name", message);
                    }
                }
                if found.computed.contains("secrets") {
                    let message = "name each secret: secrets.NAME";
                    self.faults.add(at, "computed_secret", message);
                }
                if found.computed.contains("waits") {
                    let message = "name each node that waits: waits.ID.url";
                    self.faults.add(at, "computed_wait", message);
                }
                self.found.extend(found);
            }
            Err(error) => self.faults.add(at, "bad_expression", error.to_string()),
        }
    }
}
