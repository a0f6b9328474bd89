//! Which hosts a workflow reaches: those that its document names, and those that its author allows it
//! (`settings.egress`). What an author has listed is all that its runs may call.

use std::collections::BTreeSet;

use nodeai_guard::{host_matches, split_port};
use nodeai_llm::Endpoint;
use serde_json::{Map, Value};
use url::Url;

use crate::document::Definition;
use crate::fault::Faults;
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

/// Reads it from a document; what is not valid in it is left out.
pub fn egress(document: &Value) -> Egress {
    let mut found = Found::default();
    let nodes = document["nodes"].as_array().into_iter().flatten();
    for (i, node) in nodes.enumerate() {
        if let (Some(kind), Some(data)) = (node["type"].as_str(), node["data"].as_object()) {
            found.node(kind, data, &format!("/nodes/{i}/data"));
        }
    }
    let list = document["settings"]["egress"].as_array();
    let hosts: BTreeSet<String> = found.hosts.into_iter().map(|(_, url)| name(&url)).collect();
    Egress {
        declared: list.map(|list| list.iter().filter_map(rule).collect()),
        hosts: hosts.into_iter().collect(),
        open: found.open,
    }
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
        match rule(entry) {
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

/// An entry of the list as it is compared: lower case, internationalised names in ASCII.
fn rule(entry: &Value) -> Option<String> {
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
struct Found {
    /// By the field that names it.
    hosts: Vec<(String, Url)>,
    open: Vec<String>,
}

impl Found {
    fn node(&mut self, kind: &str, data: &Map<String, Value>, at: &str) {
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
        if self.docs.iter().all(|doc| doc.egress.is_none()) {
            return Ok(());
        }
        for doc in self.docs_to(node) {
            let list = self.docs[doc].egress.as_ref();
            if list.is_some_and(|list| !list.iter().any(|rule| host_matches(rule, url))) {
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
        let docs = match self.docs.iter().any(|doc| doc.egress.is_some()) {
            true => self.docs_to(node),
            false => Vec::new(),
        };
        let lists = docs
            .into_iter()
            .map(move |doc| self.docs[doc].egress.as_deref());
        lists.flatten()
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
