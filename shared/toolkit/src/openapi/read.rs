//! From a document to functions.

use super::Config;
use super::convert::Converter;
use super::document::Document;
use super::operation::{Body, Encoding, Operation, Parameter, Place, Scheme, SchemeKind, Style};
use crate::Fault;
use crate::function::{Function, annotations_of, name_of};
use crate::token;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use url::Url;

/// Most functions of one document.
const MOST: usize = 300;
/// Most bytes of all functions together, as they are stored.
const MOST_BYTES: usize = 4 << 20;
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// An operation that is no function, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Which.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What a document offers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    /// Functions, in the document's order.
    pub functions: Vec<Function>,
    /// Operations that are none.
    pub left_out: Vec<LeftOut>,
}

/// Makes functions of a document's operations; `base` is where the document was, for servers that are relative to it.
///
/// # Errors
/// Nothing of it can be called: more than 300 operations, or no server.
pub fn read(document: &Document, config: &Config, base: Option<&Url>) -> Result<Read, Fault> {
    let mut read = Read::default();
    let mut names = BTreeSet::new();
    let mut bytes = 0;
    let paths = document.root["paths"].as_object();
    for (path, item) in paths
        .into_iter()
        .flatten()
        .filter(|(path, _)| path.starts_with('/'))
    {
        let at = format!("/paths/{}", token(path));
        let item = document.resolve(item, &at)?;
        for method in METHODS {
            let Some(operation) = item.get(method).filter(|o| o.is_object()) else {
                continue;
            };
            let one = One {
                document,
                config,
                base,
                path,
                method,
                item,
                operation,
                at: format!("{at}/{method}"),
            };
            if !one.is_wanted() {
                continue;
            }
            match one.function() {
                Ok(mut function) => {
                    unique(&mut function.name, &mut names);
                    bytes += serde_json::to_string(&function).map_or(0, |text| text.len());
                    read.functions.push(function);
                }
                Err(fault) => read.left_out.push(LeftOut {
                    name: one.label(),
                    reason: format!("{}: {}", fault.pointer, fault.detail),
                }),
            }
            if read.functions.len() > MOST || bytes > MOST_BYTES {
                let detail =
                    "more than 300 operations, or 4 MiB of them; choose some by config.operations";
                return Err(Fault::new("/paths", "length", detail));
            }
        }
    }
    Ok(read)
}

fn unique(name: &mut String, taken: &mut BTreeSet<String>) {
    let wanted = name.clone();
    let mut n = 2;
    while !taken.insert(name.clone()) {
        let end = format!("_{n}");
        let room = crate::function::LONGEST_NAME - end.len();
        *name = format!("{}{end}", &wanted[..wanted.len().min(room)]);
        n += 1;
    }
}

/// One operation in its document.
struct One<'a> {
    document: &'a Document,
    config: &'a Config,
    base: Option<&'a Url>,
    path: &'a str,
    method: &'a str,
    item: &'a Value,
    operation: &'a Value,
    at: String,
}

impl One<'_> {
    fn label(&self) -> String {
        format!("{} {}", self.method.to_ascii_uppercase(), self.path)
    }

    fn id(&self) -> Option<&str> {
        self.operation.get("operationId").and_then(Value::as_str)
    }

    fn is_wanted(&self) -> bool {
        let wanted = self.config.operations.as_deref();
        wanted.is_none_or(|list| {
            list.iter()
                .any(|one| Some(one.as_str()) == self.id() || *one == self.label())
        })
    }

    fn function(&self) -> Result<Function, Fault> {
        let method = self.method.to_ascii_uppercase();
        let mut input = Converter::new(self.document);
        let mut fields = Fields::default();
        let parameters = self.parameters(&mut input, &mut fields)?;
        let body = self.body(&mut input, &mut fields)?;
        let schema = json!({"type": "object", "properties": fields.properties, "required": fields.required,
            "additionalProperties": false});
        let text = |name: &str| {
            self.operation
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let (summary, description) = (text("summary"), text("description"));
        Ok(Function {
            name: name_of(
                self.id()
                    .unwrap_or(&format!("{}_{}", self.method, self.path)),
            ),
            title: summary.clone(),
            description: description.or(summary).or_else(|| Some(self.label())),
            input_schema: input.finish(schema)?,
            output_schema: self.output(),
            annotations: Some(annotations_of(&method)),
            operation: Some(Operation {
                server: self.server()?,
                path: self.path.to_owned(),
                parameters,
                body,
                security: self.security(),
                method,
            }),
        })
    }

    /// Parameters of the operation, and those of its path that it does not have itself.
    fn parameters(
        &self,
        input: &mut Converter<'_>,
        fields: &mut Fields,
    ) -> Result<Vec<Parameter>, Fault> {
        let list = |of: &Value| {
            of.get("parameters")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let mut found: Vec<Value> = Vec::new();
        for parameter in list(self.operation).iter().chain(&list(self.item)) {
            let parameter = self.document.resolve(parameter, &self.at)?;
            let same = |p: &Value| p["name"] == parameter["name"] && p["in"] == parameter["in"];
            if !found.iter().any(same) {
                found.push(parameter.clone());
            }
        }
        let mut made = Vec::new();
        for parameter in &found {
            made.extend(self.parameter(parameter, input, fields)?);
        }
        Ok(made)
    }

    fn parameter(
        &self,
        parameter: &Value,
        input: &mut Converter<'_>,
        fields: &mut Fields,
    ) -> Result<Option<Parameter>, Fault> {
        let text = |name: &str| {
            parameter
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let name = text("name").to_owned();
        let at = format!("{}/parameters/{}", self.at, token(&name));
        let place = match text("in") {
            "path" => Place::Path,
            "query" => Place::Query,
            "header" => Place::Header,
            "cookie" => Place::Cookie,
            _ => {
                return Err(Fault::new(
                    at,
                    "invalid",
                    "in must be path, query, header or cookie",
                ));
            }
        };
        // These are not parameters (section 4.8.12.2): they are credentials and negotiation.
        let lower = name.to_ascii_lowercase();
        if place == Place::Header
            && ["accept", "content-type", "authorization"].contains(&lower.as_str())
        {
            return Ok(None);
        }
        let content = parameter.get("content").and_then(Value::as_object);
        let content = content.and_then(|content| content.values().next());
        let schema = content.unwrap_or(parameter).get("schema");
        let schema = input.schema(schema.unwrap_or(&json!(true)), &at)?;
        let style = match (content.is_some(), text("style"), place) {
            (true, ..) => Style::Json,
            (_, "form", _) | (_, "", Place::Query | Place::Cookie) => Style::Form,
            (_, "simple", _) | (_, "", _) => Style::Simple,
            (_, "spaceDelimited", _) => Style::SpaceDelimited,
            (_, "pipeDelimited", _) => Style::PipeDelimited,
            (_, "deepObject", _) => Style::DeepObject,
            (_, "label", _) => Style::Label,
            (_, "matrix", _) => Style::Matrix,
            (_, other, _) => {
                return Err(Fault::new(at, "invalid", format!("{other:?} is no style")));
            }
        };
        let explode = parameter.get("explode").and_then(Value::as_bool);
        let required = place == Place::Path || parameter["required"] == true;
        let argument = fields.add(&name, text("in"), described(schema, parameter), required);
        Ok(Some(Parameter {
            name,
            argument,
            place,
            style,
            explode: explode.unwrap_or(style == Style::Form),
        }))
    }

    fn body(&self, input: &mut Converter<'_>, fields: &mut Fields) -> Result<Option<Body>, Fault> {
        let at = format!("{}/requestBody", self.at);
        let Some(body) = self.operation.get("requestBody") else {
            return Ok(None);
        };
        let body = self.document.resolve(body, &at)?;
        let content = body.get("content").and_then(Value::as_object);
        let content = content.ok_or_else(|| Fault::new(&at, "required", "content is missing"))?;
        let ranked = content
            .iter()
            .filter_map(|(media, one)| Some((encoding_of(media)?, media, one)));
        let best = ranked.min_by_key(|(encoding, ..)| *encoding as u8);
        let required = body["required"] == true;
        let Some((encoding, media, one)) = best else {
            return match required {
                false => Ok(None),
                true => {
                    let media: Vec<&str> = content.keys().map(String::as_str).collect();
                    let detail = format!("bodies of the type {} are not made", media.join(", "));
                    Err(Fault::new(at, "unsupported", detail))
                }
            };
        };
        let schema = one.get("schema").cloned().unwrap_or(json!(true));
        let schema = input.schema(&schema, &format!("{at}/content/{}/schema", token(media)))?;
        let argument = fields.add("body", "body", described(schema, body), required);
        let media = match media.contains('*') {
            true => "application/json".to_owned(),
            false => media.clone(),
        };
        Ok(Some(Body {
            argument,
            media,
            encoding,
        }))
    }

    /// The schema of the answer to a success. One that cannot be read is none: the call itself does not need it.
    fn output(&self) -> Option<Value> {
        let responses = self.operation.get("responses")?.as_object()?;
        let first = responses.iter().find(|(status, _)| status.starts_with('2'));
        let response = self.document.resolve(first?.1, &self.at).ok()?;
        let content = response.get("content")?.as_object()?;
        let json = content
            .iter()
            .find(|(media, _)| encoding_of(media) == Some(Encoding::Json));
        let mut output = Converter::new(self.document);
        let schema = output.schema(json?.1.get("schema")?, &self.at).ok()?;
        output.finish(schema).ok()
    }

    fn server(&self) -> Result<String, Fault> {
        let named = [self.operation, self.item, &self.document.root].into_iter();
        let mut servers = named.filter_map(|of| of.get("servers")?.as_array()?.first());
        let server = servers.next();
        let mut url = match (&self.config.server, server) {
            (Some(own), _) => own.clone(),
            (None, Some(server)) => with_variables(server),
            (None, None) => "/".to_owned(),
        };
        if let Some(base) = self.base {
            url = base.join(&url).map(String::from).unwrap_or(url);
        }
        let parsed = Url::parse(&url).ok();
        let fine = parsed.is_some_and(|u| {
            matches!(u.scheme(), "http" | "https")
                && u.username().is_empty()
                && u.query().is_none()
                && u.fragment().is_none()
        });
        match fine {
            true => Ok(url.trim_end_matches('/').to_owned()),
            false => Err(Fault::new(
                "/servers",
                "format",
                format!("{url:?} is no server; set config.server"),
            )),
        }
    }

    fn security(&self) -> Vec<Vec<Scheme>> {
        let wanted = self
            .operation
            .get("security")
            .or_else(|| self.document.root.get("security"));
        let alternatives = wanted.and_then(Value::as_array).into_iter().flatten();
        let schemes = &self.document.root["components"]["securitySchemes"];
        let one = |alternative: &Value| {
            let names = alternative.as_object().into_iter().flat_map(Map::keys);
            let schemes = names.map(|name| Scheme {
                name: name.clone(),
                kind: kind_of(&schemes[name]),
            });
            schemes.collect()
        };
        alternatives.map(one).collect()
    }
}

fn kind_of(scheme: &Value) -> SchemeKind {
    let text = |name: &str| scheme.get(name).and_then(Value::as_str).unwrap_or_default();
    match (text("type"), text("scheme").to_ascii_lowercase().as_str()) {
        ("apiKey", _) => SchemeKind::ApiKey {
            place: match text("in") {
                "query" => Place::Query,
                "cookie" => Place::Cookie,
                _ => Place::Header,
            },
            name: text("name").to_owned(),
        },
        ("http", "basic") => SchemeKind::Basic,
        ("http", "bearer") | ("oauth2" | "openIdConnect", _) => SchemeKind::Bearer,
        _ => SchemeKind::Other,
    }
}

fn with_variables(server: &Value) -> String {
    let url = server
        .get("url")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let variables = server.get("variables").and_then(Value::as_object);
    variables
        .into_iter()
        .flatten()
        .fold(url.to_owned(), |url, (name, variable)| {
            let value = variable
                .get("default")
                .and_then(Value::as_str)
                .unwrap_or_default();
            url.replace(&format!("{{{name}}}"), value)
        })
}

/// The order is the preference.
fn encoding_of(media: &str) -> Option<Encoding> {
    let media = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match media.as_str() {
        "application/json" | "*/*" | "application/*" => Some(Encoding::Json),
        media if media.ends_with("+json") => Some(Encoding::Json),
        "application/x-www-form-urlencoded" => Some(Encoding::Form),
        media if media.starts_with("text/") => Some(Encoding::Text),
        _ => None,
    }
}

/// A schema with the description of what it is for, unless it has one.
fn described(mut schema: Value, of: &Value) -> Value {
    if let (Some(map), Some(text)) = (schema.as_object_mut(), of.get("description"))
        && !map.contains_key("description")
    {
        map.insert("description".to_owned(), text.clone());
    }
    schema
}

/// The arguments of a function.
#[derive(Default)]
struct Fields {
    properties: Map<String, Value>,
    required: Vec<String>,
}

impl Fields {
    /// Adds an argument; one whose name is taken gets its place behind it.
    fn add(&mut self, name: &str, place: &str, schema: Value, required: bool) -> String {
        let mut argument = name.to_owned();
        while self.properties.contains_key(&argument) {
            argument = format!("{argument}_{place}");
        }
        self.properties.insert(argument.clone(), schema);
        if required {
            self.required.push(argument.clone());
        }
        argument
    }
}
