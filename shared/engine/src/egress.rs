//! Which hosts a workflow reaches: those that its document names, and those that its author allows it
//! (`settings.egress`). What an author has listed is all that its runs may call.

use std::collections::{BTreeMap, BTreeSet};

use nodeai_guard::{covers, host_matches, split_port};
use nodeai_llm::Endpoint;
use serde_json::{Map, Value};
use url::Url;

use crate::document::Definition;
use crate::fault::{Fault, Faults};
use crate::log::NodeError;
use crate::nodes;
use crate::plan::{Compiled, ON_FAILURE, read_step};
use crate::template::is_template;

/// Most hosts of a list.
const MOST_HOSTS: usize = 100;

/// What a document says about the hosts that its runs reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Egress {
    /// The author's list (`settings.egress`): nothing else is called. None where there is no list.
    pub declared: Option<Vec<String>>,
    /// Hosts that the nodes name.
    pub hosts: Vec<String>,
    /// JSON pointers of fields whose host is known only when a run gets there.
    pub open: Vec<String>,
}

/// The hosts that custom nodes declare, by their types.
pub type CustomHosts = BTreeMap<String, Vec<String>>;

/// Reads it from a document; what is not valid in it is left out, and custom nodes are.
pub fn egress(document: &Value) -> Egress {
    read_document(document, None).0
}

/// The same with custom nodes, by what their components declare; one that `customs` does not know may reach any host. Faults:
/// hosts of custom nodes that are not in the author's list.
pub fn egress_with(document: &Value, customs: &CustomHosts) -> (Egress, Vec<Fault>) {
    read_document(document, Some(customs))
}

fn read_document(document: &Value, customs: Option<&CustomHosts>) -> (Egress, Vec<Fault>) {
    let mut found = Found {
        customs,
        ..Found::default()
    };
    let nodes = document["nodes"].as_array().into_iter().flatten();
    for (i, node) in nodes.enumerate() {
        if let (Some(kind), Some(data)) = (node["type"].as_str(), node["data"].as_object()) {
            found.node(kind, data, &format!("/nodes/{i}/data"));
        }
    }
    let list = document["settings"]["egress"].as_array();
    let declared: Option<Vec<String>> =
        list.map(|list| list.iter().filter_map(host_rule).collect());
    let faults = found.uncovered(declared.as_deref());
    let egress = Egress {
        declared,
        hosts: found.names(),
        open: found.open,
    };
    (egress, faults)
}

/// The types of the custom nodes that a document uses, as tools of agents too.
pub fn customs_of(document: &Value) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let nodes = document["nodes"].as_array();
    let mut left: Vec<&Value> = nodes.into_iter().flatten().collect();
    while let Some(node) = left.pop() {
        let kind = node["type"].as_str();
        found.extend(kind.filter(|kind| nodes::custom::name(kind).is_some()));
        let tools = node["data"]["tools"].as_array();
        left.extend(tools.into_iter().flatten().map(|tool| &tool["node"]));
    }
    found
}

/// Hosts that a definition's nodes name, as far as its document says.
pub(crate) fn inferred(definition: &Definition) -> Vec<String> {
    let mut found = Found::default();
    for (i, node) in definition.nodes.iter().enumerate() {
        found.node(&node.kind, &node.data, &format!("/nodes/{i}/data"));
    }
    found.names()
}

/// A document's `settings.egress`. Hosts that its nodes name must be in it, so that the list is the whole truth.
pub(crate) fn read(
    list: &Value,
    definition: &Definition,
    faults: &mut Faults,
) -> Option<Vec<String>> {
    const AT: &str = "/settings/egress";
    let Some(list) = list.as_array().filter(|list| list.len() <= MOST_HOSTS) else {
        let message = format!("expected a list of at most {MOST_HOSTS} hosts");
        faults.add(AT, "wrong_type", message);
        return None;
    };
    let mut rules = Vec::new();
    for (i, entry) in list.iter().enumerate() {
        match host_rule(entry) {
            Some(rule) => rules.push(rule),
            None => faults.add(
                format!("{AT}/{i}"),
                "bad_host",
                "expected a host such as api.example.com, *.example.com or 127.0.0.1:8080; * allows every host",
            ),
        }
    }
    let mut found = Found::default();
    for (i, node) in definition.nodes.iter().enumerate() {
        found.node(&node.kind, &node.data, &format!("/nodes/{i}/data"));
    }
    for (at, url) in found.hosts {
        if !rules.iter().any(|rule| host_matches(rule, &url)) {
            let message = format!("{} is not in settings.egress", name(&url));
            faults.add(at, "egress_undeclared", message);
        }
    }
    Some(rules)
}

/// An entry of a list of hosts as it is compared: lower case, internationalised names in ASCII. None for what is no host.
pub fn host_rule(entry: &Value) -> Option<String> {
    let text = entry.as_str()?.trim();
    if text == "*" {
        return Some(text.to_owned());
    }
    let (host, port) = split_port(text);
    let (prefix, host) = match host.strip_prefix("*.") {
        Some(parent) => ("*.", parent),
        None => ("", host),
    };
    let host = url::Host::parse(host).ok()?;
    if !prefix.is_empty() && !matches!(host, url::Host::Domain(_)) {
        return None;
    }
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    Some(format!("{prefix}{host}{port}"))
}

/// Host, and the port where it is not the usual one.
fn name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// What the nodes of a document reach.
#[derive(Default)]
struct Found<'c> {
    /// What is known of custom nodes; without it they are left out.
    customs: Option<&'c CustomHosts>,
    /// By the field that names it.
    hosts: Vec<(String, Url)>,
    /// Hosts that custom nodes declare, by the node.
    declared: Vec<(String, String)>,
    open: Vec<String>,
}

impl Found<'_> {
    /// All hosts, each once, in order.
    fn names(&self) -> Vec<String> {
        let named = self.hosts.iter().map(|(_, url)| name(url));
        let declared = self.declared.iter().map(|(_, host)| host.clone());
        let all: BTreeSet<String> = named.chain(declared).collect();
        all.into_iter().collect()
    }

    /// What custom nodes declare and the author's list, if there is one, does not have.
    fn uncovered(&self, list: Option<&[String]>) -> Vec<Fault> {
        let listed =
            |host: &str| list.is_none_or(|list| list.iter().any(|rule| covers(rule, host)));
        let missing = self.declared.iter().filter(|(_, host)| !listed(host));
        let fault = |(at, host): &(String, String)| Fault {
            pointer: at.clone(),
            code: "egress_undeclared".to_owned(),
            message: format!("{host}, which this node reaches, is not in settings.egress"),
        };
        missing.map(fault).collect()
    }

    fn custom(&mut self, kind: &str, at: &str) {
        let Some(customs) = self.customs.filter(|_| nodes::custom::name(kind).is_some()) else {
            return;
        };
        let at = at.strip_suffix("/data").unwrap_or(at).to_owned();
        match customs.get(kind) {
            Some(hosts) => {
                let hosts = hosts.iter().map(|host| (at.clone(), host.clone()));
                self.declared.extend(hosts);
            }
            None => self.open.push(at),
        }
    }

    fn node(&mut self, kind: &str, data: &Map<String, Value>, at: &str) {
        self.custom(kind, at);
        if kind == "postgres" {
            self.field(data.get("url"), &format!("{at}/url"));
        }
        if kind == "http" {
            self.field(data.get("url"), &format!("{at}/url"));
            if data
                .get("pagination")
                .is_some_and(|pages| pages["by"] == "link")
            {
                self.open.push(format!("{at}/pagination"));
            }
        }
        if nodes::kind(kind).is_some_and(|kind| kind.spec.category == "ai") {
            self.models(data, at);
        }
        if let Some(base) = nodes::service_base(kind, data) {
            match data.get("base_url").filter(|url| !url.is_null()) {
                Some(url) => self.field(Some(url), &format!("{at}/base_url")),
                None => self
                    .hosts
                    .extend(Url::parse(base).map(|url| (at.to_owned(), url))),
            }
        }
        let tools = data.get("tools").and_then(Value::as_array);
        for (i, tool) in tools.into_iter().flatten().enumerate() {
            let node = &tool["node"];
            if let (Some(kind), Some(data)) = (node["type"].as_str(), node["data"].as_object()) {
                self.node(kind, data, &format!("{at}/tools/{i}/node/data"));
            }
        }
    }

    fn models(&mut self, data: &Map<String, Value>, at: &str) {
        self.model(data.get("model"), data.get("base_url"), at, "model");
        let fallbacks = data.get("fallbacks").and_then(Value::as_array);
        for (i, fallback) in fallbacks.into_iter().flatten().enumerate() {
            let at = format!("{at}/fallbacks/{i}");
            match fallback {
                Value::Object(whole) => {
                    self.model(whole.get("model"), whole.get("base_url"), &at, "model");
                }
                name => self.model(Some(name), None, &at, ""),
            }
        }
    }

    fn model(&mut self, model: Option<&Value>, base_url: Option<&Value>, at: &str, field: &str) {
        if base_url.is_some_and(|url| !url.is_null()) {
            return self.field(base_url, &format!("{at}/base_url"));
        }
        let Some(model) = model.and_then(Value::as_str) else {
            return;
        };
        let at = format!("{at}/{field}");
        let at = at.trim_end_matches('/').to_owned();
        // A template may still begin with its provider: openai/{{ inputs.model }}.
        let begin = model.split(['{', '}']).next().unwrap_or_default();
        let known = match is_template(model) {
            true => begin.contains('/').then(|| format!("{begin}x")),
            false => Some(model.to_owned()),
        };
        let endpoint = known.map(|name| Endpoint::resolve(&name, None));
        match endpoint {
            Some(Ok(endpoint)) => {
                if let Ok(url) = Url::parse(&endpoint.base_url) {
                    self.hosts.push((at, url));
                }
            }
            Some(Err(_)) => {}
            None => self.open.push(at),
        }
    }

    /// A URL, whose host may be written out although the rest is a template.
    fn field(&mut self, url: Option<&Value>, at: &str) {
        let Some(text) = url.and_then(Value::as_str) else {
            return;
        };
        match literal(text.trim()) {
            Some(url) => self.hosts.push((at.to_owned(), url)),
            None if is_template(text) => self.open.push(at.to_owned()),
            None => {}
        }
    }
}

/// The URL as far as it is written out, if its host is: what follows the host's end cannot change it.
fn literal(text: &str) -> Option<Url> {
    if !is_template(text) {
        return Url::parse(text).ok();
    }
    let begin = ["{{", "{%", "{#"].iter().filter_map(|mark| text.find(mark));
    let begin = &text[..begin.min()?];
    let (_, rest) = begin.split_once("://")?;
    rest.contains(['/', '?', '#'])
        .then(|| Url::parse(begin).ok())?
}

impl Compiled {
    /// Whether a node may call a URL: by the list of the workflow that runs, and by that of each called workflow on the
    /// way to the node.
    ///
    /// # Errors
    /// `egress_refused`, with the host.
    pub fn check_egress(&self, node: &str, url: &Url) -> Result<(), NodeError> {
        for (doc, list) in self.lists_to(node) {
            if !list.iter().any(|rule| host_matches(rule, url)) {
                let whose = match doc {
                    0 => "the workflow",
                    _ => "the called workflow",
                };
                let message = format!(
                    "{} is not among the hosts of {whose} (settings.egress)",
                    name(url)
                );
                return Err(NodeError::new("egress_refused", message, false));
            }
        }
        Ok(())
    }

    /// The lists of hosts that a node is held to, for who calls hosts on its behalf.
    pub fn egress_of(&self, node: &str) -> impl Iterator<Item = &[String]> {
        self.lists_to(node).map(|(_, list)| list)
    }

    /// The lists that a node is held to, and the documents that they are of. What is inferred from a document says nothing
    /// about those that it calls.
    fn lists_to(&self, node: &str) -> impl Iterator<Item = (usize, &[String])> {
        let docs = match self.docs.iter().any(|doc| doc.egress.is_some()) {
            true => self.docs_to(node),
            false => Vec::new(),
        };
        let own = docs.last().copied();
        docs.into_iter().filter_map(move |at| {
            let doc = &self.docs[at];
            let list = doc.egress.as_deref();
            list.filter(|_| !doc.inferred || own == Some(at))
                .map(|list| (at, list))
        })
    }

    /// The documents from the one that runs to the one that a node is of.
    fn docs_to(&self, node: &str) -> Vec<usize> {
        let mut docs = vec![0];
        let (mut body, mut rest) = match (node.strip_prefix(ON_FAILURE), self.on_failure) {
            (Some(rest), Some(body)) => (body, rest),
            _ => (0, node),
        };
        docs.push(self.bodies[body].doc);
        while let Some((step, after)) = rest.split_once('/') {
            let at = read_step(step).and_then(|(id, _)| self.bodies[body].graph.by_id.get(id));
            let Some(inner) = at.and_then(|&at| self.bodies[body].nodes[at].body) else {
                break;
            };
            body = inner;
            docs.push(self.bodies[body].doc);
            rest = after;
        }
        docs.dedup();
        docs
    }
}

#[cfg(test)]
mod tests;
