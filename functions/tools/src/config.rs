//! A tool's configuration, by its kind.

use crate::model::Kind;
use nodeai_app::Cx;
use nodeai_guard::UrlGuard;
use nodeai_http::{FieldError, Problem, input};
use nodeai_toolkit::Fault;
use nodeai_toolkit::credential::Auth;
use nodeai_toolkit::endpoint::Endpoint;
use nodeai_toolkit::openapi;
use nodeai_toolkit::request::{check_header, check_url};
use nodeai_toolkit::template;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

/// An MCP server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpServer {
    /// Its endpoint (Streamable HTTP).
    pub url: String,
    /// Credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Header fields that go along; `{{ secrets.NAME }}` in a value is a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl McpServer {
    /// The secrets that it needs.
    pub fn secrets(&self) -> BTreeSet<String> {
        let texts = self.headers.values();
        let mut names: BTreeSet<String> = texts
            .filter_map(|text| template::names(text).ok())
            .flatten()
            .collect();
        names.extend(nodeai_toolkit::credential::secrets(&self.auth));
        names
    }

    fn check(&self, faults: &mut Vec<Fault>) {
        check_url(&self.url, "/config/url", faults);
        if let Some(auth) = &self.auth {
            auth.check("/config/auth", faults);
        }
        for (name, value) in &self.headers {
            let at = format!("/config/headers/{}", input::escape(name));
            match template::names(value) {
                Ok(names) => check_header(name, &at, !names.is_empty(), faults),
                Err(wrong) => faults.push(Fault::new(at, "template", wrong.to_string())),
            }
        }
    }
}

/// Where a workflow is deployed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Development.
    Dev,
    /// Staging.
    Staging,
    /// Production.
    #[default]
    Prod,
}

impl Environment {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Staging => "staging",
            Self::Prod => "prod",
        }
    }
}

/// A deployed workflow.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deployed {
    /// The deployment's slug.
    pub deployment: String,
    /// Where: `prod` unless given.
    #[serde(default)]
    pub environment: Environment,
}

impl Deployed {
    /// What it is called among all that the MCP server offers.
    pub fn offered_name(&self) -> String {
        let slug = &self.deployment;
        match self.environment {
            Environment::Prod => format!("workflow__{slug}"),
            other => format!("workflow__{slug}__{}", other.as_str()),
        }
    }
}

/// A configuration.
#[derive(Debug, Clone)]
pub enum Config {
    /// Of a function.
    Function(Endpoint),
    /// Of an OpenAPI document.
    Openapi(openapi::Config),
    /// Of an MCP server.
    Mcp(McpServer),
    /// Of a workflow.
    Workflow(Deployed),
}

impl Config {
    /// Reads one. Errors: 400 with pointers below `/config`.
    pub fn read(kind: Kind, config: &Value) -> Result<Self, Problem> {
        Ok(match kind {
            Kind::Function => Self::Function(typed(config)?),
            Kind::Openapi => Self::Openapi(typed(config)?),
            Kind::Mcp => Self::Mcp(typed(config)?),
            Kind::Workflow => Self::Workflow(typed(config)?),
        })
    }

    /// Reports what is wrong with it; `schema` is that of a function's arguments.
    pub fn check(&self, schema: &Value, faults: &mut Vec<Fault>) {
        match self {
            Self::Function(endpoint) => endpoint.check(schema, "/config", faults),
            Self::Openapi(config) => config.check("/config", faults),
            Self::Mcp(server) => server.check(faults),
            Self::Workflow(deployed) => {
                let slug = &deployed.deployment;
                let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                if slug.is_empty() || slug.len() > 100 || !slug.bytes().all(plain) {
                    let detail = "must be the slug of a deployment";
                    faults.push(Fault::new("/config/deployment", "format", detail));
                }
            }
        }
    }

    /// The URLs that calls go to, with the place of each, and whether credentials go along.
    fn urls(&self) -> Vec<(&'static str, String, bool)> {
        match self {
            Self::Function(endpoint) => {
                let with = endpoint.auth.is_some() || !endpoint.secrets().is_empty();
                vec![("/config/url", endpoint.url.replace(['{', '}'], ""), with)]
            }
            Self::Openapi(config) => {
                let with = config.auth.is_some() || !config.security.is_empty();
                let document = config.document_url.iter();
                let document = document.map(|url| ("/config/document_url", url.clone(), false));
                let server = config.server.iter();
                document
                    .chain(server.map(|url| ("/config/server", url.clone(), with)))
                    .collect()
            }
            Self::Mcp(server) => {
                let with = server.auth.is_some() || !server.secrets().is_empty();
                vec![("/config/url", server.url.clone(), with)]
            }
            Self::Workflow(_) => Vec::new(),
        }
    }

    /// Refuses URLs that must not be called. Errors: 400 with their places.
    pub async fn may_be_called(&self, cx: &Cx) -> Result<(), Problem> {
        let guard = UrlGuard::configured(&**cx.env()).await;
        let mut errors = Vec::new();
        for (pointer, url, confidential) in self.urls() {
            let Ok(url) = Url::parse(&url) else { continue };
            let checked = match confidential {
                true => guard.check_confidential(&url),
                false => guard.check(&url),
            };
            if let Err(refused) = checked {
                errors.push(FieldError::body(pointer, "refused", refused.to_string()));
            }
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(Problem::fields(errors)),
        }
    }
}

/// Reads a value into a type. Errors: 400 with pointers below `/config`.
fn typed<T: DeserializeOwned>(config: &Value) -> Result<T, Problem> {
    let read = input::parse_json(config.to_string().as_bytes());
    read.map_err(|problem| below("/config", problem))
}

/// The same problem with its pointers below a place.
pub fn below(place: &str, problem: Problem) -> Problem {
    let errors = problem.errors.into_iter().map(|mut error| {
        let pointer = error.pointer.unwrap_or_default();
        error.pointer = Some(format!("{place}{pointer}"));
        error
    });
    Problem::fields(errors.collect())
}

/// Faults as a problem. Errors: 400, if there are any.
pub fn refuse(faults: Vec<Fault>) -> Result<(), Problem> {
    if faults.is_empty() {
        return Ok(());
    }
    let errors = faults
        .into_iter()
        .map(|fault| FieldError::body(fault.pointer, &fault.code, fault.detail));
    Err(Problem::fields(errors.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn faults_of_a_configuration_point_below_it() {
        let of = |kind, config: Value| {
            Config::read(kind, &config)
                .err()
                .map(|p| p.errors[0].pointer.clone().unwrap())
        };
        assert_eq!(of(Kind::Mcp, json!({"url": "https://a.example/mcp"})), None);
        assert_eq!(of(Kind::Mcp, json!({})).as_deref(), Some("/config/url"));
        assert_eq!(
            of(Kind::Function, json!({"url": "x", "z": 1})).as_deref(),
            Some("/config/z")
        );
        assert_eq!(
            of(
                Kind::Workflow,
                json!({"deployment": "a", "environment": "moon"})
            )
            .as_deref(),
            Some("/config/environment")
        );
    }

    #[test]
    fn a_deployment_has_the_name_that_the_server_offers() {
        let of = |config: Value| {
            serde_json::from_value::<Deployed>(config)
                .unwrap()
                .offered_name()
        };
        assert_eq!(of(json!({"deployment": "hello"})), "workflow__hello");
        assert_eq!(
            of(json!({"deployment": "hello", "environment": "dev"})),
            "workflow__hello__dev"
        );
    }
}
