//! A plain function that an HTTP endpoint of the user's answers: its configuration, and the request for some arguments.

use crate::credential::Auth;
use crate::openapi::encode_segment;
use crate::request::{Outgoing, check_header};
use crate::template::{self, Values};
use crate::{Fault, token};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

/// Methods that an endpoint may be called with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET: arguments are query parameters.
    Get,
    /// POST: arguments are a JSON body.
    #[default]
    Post,
    /// PUT: as POST.
    Put,
    /// PATCH: as POST.
    Patch,
    /// DELETE: as GET.
    Delete,
}

impl Method {
    /// As it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Where arguments go that the path does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arguments {
    /// A JSON object as the body.
    Json,
    /// A form as the body.
    Form,
    /// Query parameters.
    Query,
}

/// An endpoint that answers a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where it is; `{name}` in its path is an argument.
    pub url: String,
    /// `POST` unless given.
    #[serde(default)]
    pub method: Method,
    /// Header fields; `{{ secrets.NAME }}` in a value is a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Query parameters that are always sent; secrets as in `headers`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Where arguments go: `json` unless given, `query` for GET and DELETE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Arguments>,
    /// Credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// A JSON pointer to the part of the answer that is the output; all of it unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_at: Option<String>,
}

impl Endpoint {
    /// Reports what is wrong with it; `schema` is that of the arguments.
    pub fn check(&self, schema: &Value, at: &str, faults: &mut Vec<Fault>) {
        crate::request::check_url(
            &self.url.replace(['{', '}'], ""),
            &format!("{at}/url"),
            faults,
        );
        let properties = schema.get("properties").and_then(Value::as_object);
        let known = |name: &String| properties.is_some_and(|all| all.contains_key(name));
        for name in self.path_arguments().iter().filter(|name| !known(name)) {
            let detail = format!("{{{name}}} is no property of input_schema");
            faults.push(Fault::new(format!("{at}/url"), "unknown", detail));
        }
        if self.headers.len() + self.query.len() > 50 {
            faults.push(Fault::new(
                format!("{at}/headers"),
                "length",
                "at most 50 in all",
            ));
        }
        for (name, value) in &self.headers {
            let at = format!("{at}/headers/{}", token(name));
            let secret = template::names(value).is_ok_and(|names| !names.is_empty());
            check_header(name, &at, secret, faults);
            if http::HeaderValue::from_str(value).is_err() {
                faults.push(Fault::new(&at, "invalid", "cannot stand in a header field"));
            }
            check_template(value, &at, faults);
        }
        for (name, value) in &self.query {
            check_template(value, &format!("{at}/query/{}", token(name)), faults);
        }
        if let Some(auth) = &self.auth {
            auth.check(&format!("{at}/auth"), faults);
            if matches!(auth, Auth::ClientCredentials { .. }) {
                let detail = "is for MCP servers; use a connection";
                faults.push(Fault::new(format!("{at}/auth"), "unsupported", detail));
            }
        }
        let pointer = self.output_at.as_deref().unwrap_or_default();
        if !(pointer.is_empty() || pointer.starts_with('/')) || pointer.len() > 500 {
            faults.push(Fault::new(
                format!("{at}/output_at"),
                "format",
                "must be a JSON pointer",
            ));
        }
    }

    /// The secrets that its requests need.
    pub fn secrets(&self) -> BTreeSet<String> {
        let texts = self.headers.values().chain(self.query.values());
        let mut names: BTreeSet<String> = texts
            .filter_map(|text| template::names(text).ok())
            .flatten()
            .collect();
        names.extend(crate::credential::secrets(&self.auth));
        names
    }

    /// Names of arguments in its path.
    fn path_arguments(&self) -> Vec<String> {
        let inside = |part: &str| part.split_once('}').map(|(name, _)| name.to_owned());
        self.url.split('{').skip(1).filter_map(inside).collect()
    }

    /// The request for arguments that fit the schema.
    ///
    /// # Errors
    /// An argument that cannot stand where it has to, or a secret that there is not; at a pointer below the arguments, empty
    /// for what is not theirs.
    pub fn request(&self, arguments: &Value, values: &Values) -> Result<Outgoing, Fault> {
        let mut left = arguments.as_object().cloned().unwrap_or_default();
        let mut url = self.url_for(&mut left)?;
        let secret = |text: &str| template::render(text, values);
        let missing = |wrong: template::Wrong| Fault::new("", "secret", wrong.to_string());
        for (name, value) in &self.query {
            let value = secret(value).map_err(missing)?;
            url.query_pairs_mut().append_pair(name, &value);
        }
        let mut request = Outgoing::new(self.method.as_str(), url);
        request.confidential = !self.secrets().is_empty();
        request.set_header("accept", "application/json, */*;q=0.5");
        match self.places() {
            Arguments::Query => {
                let mut query = request.url.query_pairs_mut();
                for (name, text) in flat(&left) {
                    query.append_pair(&name, &text);
                }
                drop(query);
                // An empty query would be a lone question mark.
                if request.url.query() == Some("") {
                    request.url.set_query(None);
                }
            }
            Arguments::Json => {
                request.set_header("content-type", "application/json");
                request.body = Some(Value::Object(left).to_string().into_bytes());
            }
            Arguments::Form => {
                request.set_header("content-type", "application/x-www-form-urlencoded");
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(flat(&left));
                request.body = Some(form.finish().into_bytes());
            }
        }
        for (name, value) in &self.headers {
            request.set_header(name, secret(value).map_err(missing)?);
        }
        Ok(request)
    }

    fn places(&self) -> Arguments {
        self.arguments.unwrap_or(match self.method {
            Method::Get | Method::Delete => Arguments::Query,
            _ => Arguments::Json,
        })
    }

    /// The URL with the arguments of its path, which are taken out of `left`.
    fn url_for(&self, left: &mut Map<String, Value>) -> Result<Url, Fault> {
        let mut text = self.url.clone();
        for name in self.path_arguments() {
            let at = format!("/{}", token(&name));
            let value = left.remove(&name).unwrap_or_default();
            let plain = plain(&value).ok_or_else(|| {
                Fault::new(
                    &at,
                    "required",
                    "goes into the path: a text, a number or a boolean",
                )
            })?;
            let segment = encode_segment(&plain).map_err(|why| Fault::new(&at, "format", why))?;
            text = text.replace(&format!("{{{name}}}"), &segment);
        }
        Url::parse(&text).map_err(|error| Fault::new("", "url", error.to_string()))
    }
}

fn check_template(text: &str, at: &str, faults: &mut Vec<Fault>) {
    if let Err(wrong) = template::names(text) {
        faults.push(Fault::new(at, "template", wrong.to_string()));
    }
    if text.len() > 2_000 {
        faults.push(Fault::new(at, "length", "at most 2000 characters"));
    }
}

/// A value without structure as a text.
pub(crate) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Arguments as pairs: a list is its name several times, an object is JSON, null is nothing.
fn flat(arguments: &Map<String, Value>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, value) in arguments {
        match value {
            Value::Null => {}
            Value::Array(items) => {
                let text = |item: &Value| plain(item).unwrap_or_else(|| item.to_string());
                pairs.extend(items.iter().map(|item| (name.clone(), text(item))));
            }
            value => pairs.push((
                name.clone(),
                plain(value).unwrap_or_else(|| value.to_string()),
            )),
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn endpoint(config: Value) -> Endpoint {
        serde_json::from_value(config).unwrap()
    }

    fn pointers(config: Value) -> Vec<String> {
        let schema = json!({"properties": {"id": {}}});
        let mut faults = Vec::new();
        endpoint(config).check(&schema, "/config", &mut faults);
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn arguments_go_where_the_method_has_them() {
        let get = endpoint(json!({"url": "https://a.example/u/{id}?v=1", "method": "GET"}));
        let arguments = json!({"id": "a/b c", "tags": ["x", "y"], "n": 1, "none": null});
        let request = get.request(&arguments, &Values::new()).unwrap();
        assert_eq!(
            request.url.as_str(),
            "https://a.example/u/a%2Fb%20c?v=1&tags=x&tags=y&n=1"
        );
        assert_eq!(request.body, None);
        let post = endpoint(json!({"url": "https://a.example/u/{id}"}));
        let request = post.request(&arguments, &Values::new()).unwrap();
        let body: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
        assert_eq!(body, json!({"tags": ["x", "y"], "n": 1, "none": null}));
        let form = endpoint(json!({"url": "https://a.example/", "arguments": "form"}));
        let request = form.request(&json!({"a": "1 2"}), &Values::new()).unwrap();
        assert_eq!(request.body.unwrap(), b"a=1+2");
    }

    #[test]
    fn an_argument_does_not_lead_out_of_its_segment() {
        let get = endpoint(json!({"url": "https://a.example/u/{id}/x", "method": "GET"}));
        for bad in ["..", ".", "%2e%2e", ""] {
            assert!(
                get.request(&json!({"id": bad}), &Values::new()).is_err(),
                "{bad}"
            );
        }
        assert!(get.request(&json!({"id": {}}), &Values::new()).is_err());
        let odd = get
            .request(&json!({"id": "../..?x#y"}), &Values::new())
            .unwrap();
        assert_eq!(odd.url.as_str(), "https://a.example/u/..%2F..%3Fx%23y/x");
    }

    #[test]
    fn secrets_are_put_in_and_named() {
        let with = endpoint(
            json!({"url": "https://a.example/", "headers": {"X-Key": "k {{ secrets.A }}"},
            "query": {"q": "{{ secrets.B }}"}, "auth": {"bearer": "C"}}),
        );
        assert_eq!(
            with.secrets().into_iter().collect::<Vec<_>>(),
            ["A", "B", "C"]
        );
        let values = Values::from([("A".into(), "1".into()), ("B".into(), "2".into())]);
        let request = with.request(&json!({}), &values).unwrap();
        assert_eq!(request.header("x-key"), Some("k 1"));
        assert_eq!(
            (request.url.query(), request.confidential),
            (Some("q=2"), true)
        );
        assert!(with.request(&json!({}), &Values::new()).is_err());
    }

    #[test]
    fn each_fault_of_a_configuration_has_its_pointer() {
        assert!(
            pointers(json!({"url": "https://a.example/{id}", "headers": {"X": "{{ secrets.A }}"}}))
                .is_empty()
        );
        let wrong = pointers(
            json!({"url": "ftp://u:p@a.example/{no}", "headers": {"Host": "x", "Authorization": "y",
            "X": "{{ inputs.a }}"}, "query": {"a": "{{"}, "auth": {"bearer": "a b"}, "output_at": "a"}),
        );
        assert_eq!(
            wrong,
            [
                "/config/url",
                "/config/url",
                "/config/headers/Authorization",
                "/config/headers/Host",
                "/config/headers/X",
                "/config/query/a",
                "/config/auth",
                "/config/output_at"
            ]
        );
    }
}
