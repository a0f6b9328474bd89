//! OpenAPI 3.0 and 3.1 documents as tools: each operation is a function, whose arguments are its parameters by name and its
//! body as `body`.
//!
//! Schemas come out complete in themselves: what they refer to in the document is in their `$defs`, so that recursion stays
//! one. References that lead out of the document are refused, bodies that are neither JSON, a form nor text leave their
//! operation out, and it is said why.

mod convert;
mod document;
mod operation;
mod read;
mod send;
#[cfg(test)]
mod tests;

pub use document::Document;
pub use operation::{Body, Operation, Parameter, Place, Scheme, SchemeKind};
pub use read::{LeftOut, Read, read};
pub use send::encode_segment;

use crate::Fault;
use crate::credential::Auth;
use crate::request::{check_header, check_url};
use crate::template;
use crate::token;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How a document's operations are called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the document is, JSON or YAML; it is fetched when the tool is made and when it is refreshed. Either this or
    /// `document`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_url: Option<String>,
    /// The server, in place of those that the document names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Only these operations, by their `operationId` or as `GET /path`; all of them unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<String>>,
    /// Credentials for the document's security schemes, by their names there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub security: BTreeMap<String, Auth>,
    /// Credentials for every operation, where the document does not say how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Further header fields; `{{ secrets.NAME }}` in a value is a secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl Config {
    /// Reports what is wrong with it.
    pub fn check(&self, at: &str, faults: &mut Vec<Fault>) {
        for (name, url) in [
            ("document_url", &self.document_url),
            ("server", &self.server),
        ] {
            if let Some(url) = url {
                check_url(url, &format!("{at}/{name}"), faults);
            }
        }
        let many = self.operations.as_ref().map_or(0, Vec::len);
        if many > 500 || self.security.len() > 50 || self.headers.len() > 50 {
            let detail = "at most 500 operations, 50 credentials and 50 header fields";
            faults.push(Fault::new(at, "length", detail));
        }
        let named = self
            .security
            .iter()
            .map(|(name, auth)| (format!("{at}/security/{}", token(name)), auth));
        let own = self.auth.iter().map(|auth| (format!("{at}/auth"), auth));
        for (at, auth) in named.chain(own) {
            auth.check(&at, faults);
            if matches!(auth, Auth::ClientCredentials { .. }) {
                faults.push(Fault::new(
                    at,
                    "unsupported",
                    "is for MCP servers; use a connection",
                ));
            }
        }
        for (name, value) in &self.headers {
            let at = format!("{at}/headers/{}", token(name));
            match template::names(value) {
                Ok(names) => check_header(name, &at, !names.is_empty(), faults),
                Err(wrong) => faults.push(Fault::new(at, "template", wrong.to_string())),
            }
        }
    }

    /// The secrets that a request of an operation needs.
    pub fn secrets(&self, operation: &Operation) -> BTreeSet<String> {
        let texts = self.headers.values();
        let mut names: BTreeSet<String> = texts
            .filter_map(|text| template::names(text).ok())
            .flatten()
            .collect();
        let auths = self.auths(operation).into_iter();
        names.extend(crate::credential::secrets(auths.map(|(_, auth)| auth)));
        names
    }

    /// The credentials of an operation, each with the scheme that it is for: of the first of its alternatives for which all are
    /// there.
    pub fn auths<'a>(&'a self, operation: &'a Operation) -> Vec<(Option<&'a Scheme>, &'a Auth)> {
        let complete = operation.security.iter().find(|all| {
            !all.is_empty()
                && all
                    .iter()
                    .all(|scheme| self.security.contains_key(&scheme.name))
        });
        let own = |scheme: &'a Scheme| Some((Some(scheme), self.security.get(&scheme.name)?));
        match complete {
            Some(all) => all.iter().filter_map(own).collect(),
            None => self.auth.iter().map(|auth| (None, auth)).collect(),
        }
    }
}
