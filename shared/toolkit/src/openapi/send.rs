//! From arguments to a request.

use super::Config;
use super::operation::{Encoding, Operation, Parameter, Place, Scheme, SchemeKind, Style};
use crate::credential::Auth;
use crate::endpoint::plain;
use crate::request::Outgoing;
use crate::template::{self, Values};
use crate::{Fault, token};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::{Url, form_urlencoded};

/// All but RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A text as one segment of a path.
///
/// # Errors
/// It would be none, or lead out of its place: URLs give `.` and `..` a meaning even where they are encoded.
pub fn encode_segment(text: &str) -> Result<String, String> {
    let dots = text.to_ascii_lowercase().replace("%2e", ".");
    if text.is_empty() || dots == "." || dots == ".." {
        return Err(format!("{text:?} cannot stand in a path"));
    }
    Ok(utf8_percent_encode(text, SEGMENT).to_string())
}

impl Operation {
    /// The request for arguments that fit the function's schema. Tokens of connections are put in later
    /// ([`Config::auths`]).
    ///
    /// # Errors
    /// An argument that cannot stand where it has to; at a pointer below the arguments, empty for what is not theirs.
    pub fn request(
        &self,
        config: &Config,
        arguments: &Value,
        values: &Values,
    ) -> Result<Outgoing, Fault> {
        let mut request = Outgoing::new(&self.method, self.url(arguments)?);
        request.set_header("accept", "application/json, */*;q=0.5");
        for (name, text) in &config.headers {
            let value = template::render(text, values);
            let value = value.map_err(|wrong| Fault::new("", "secret", wrong.to_string()))?;
            request.confidential |= value != *text;
            request.set_header(name, value);
        }
        let mut cookies = Vec::new();
        for parameter in &self.parameters {
            let Some(value) = arguments.get(&parameter.argument).filter(|v| !v.is_null()) else {
                continue;
            };
            match parameter.place {
                Place::Path => {}
                Place::Query => {
                    let mut query = request.url.query_pairs_mut();
                    for (name, text) in pairs(parameter, value) {
                        query.append_pair(&name, &text);
                    }
                }
                Place::Header => {
                    let at = format!("/{}", token(&parameter.argument));
                    let text = simple(value, parameter.explode, ",", &|part: &str| part.to_owned());
                    http::HeaderValue::from_str(&text)
                        .map_err(|_| Fault::new(&at, "format", "cannot stand in a header field"))?;
                    request.set_header(&parameter.name, text);
                }
                Place::Cookie => {
                    let encoded = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
                    cookies.extend(
                        pairs(parameter, value)
                            .into_iter()
                            .map(|(name, text)| format!("{}={}", encoded(&name), encoded(&text))),
                    );
                }
            }
        }
        if !cookies.is_empty() {
            request.set_header("cookie", cookies.join("; "));
        }
        self.put_body(&mut request, arguments)?;
        Ok(request)
    }

    fn url(&self, arguments: &Value) -> Result<Url, Fault> {
        let mut path = self.path.clone();
        for parameter in self.parameters.iter().filter(|p| p.place == Place::Path) {
            let at = format!("/{}", token(&parameter.argument));
            let value = &arguments[&parameter.argument];
            let written = in_path(parameter, value);
            let text = written.ok_or_else(|| {
                Fault::new(&at, "format", format!("{value} cannot stand in a path"))
            })?;
            path = path.replace(&format!("{{{}}}", parameter.name), &text);
        }
        if path.split('/').any(|segment| {
            let dots = segment.to_ascii_lowercase().replace("%2e", ".");
            dots == "." || dots == ".."
        }) {
            return Err(Fault::new(
                "",
                "format",
                "the arguments lead out of the path",
            ));
        }
        Url::parse(&format!("{}{path}", self.server))
            .map_err(|error| Fault::new("", "url", error.to_string()))
    }

    fn put_body(&self, request: &mut Outgoing, arguments: &Value) -> Result<(), Fault> {
        let Some(body) = &self.body else {
            return Ok(());
        };
        let Some(value) = arguments.get(&body.argument) else {
            return Ok(());
        };
        let at = format!("/{}", token(&body.argument));
        let bytes = match body.encoding {
            Encoding::Json => value.to_string(),
            Encoding::Text => {
                plain(value).ok_or_else(|| Fault::new(&at, "type", "the body is a text"))?
            }
            Encoding::Form => {
                let map = value.as_object();
                let map = map.ok_or_else(|| Fault::new(&at, "type", "a form is an object"))?;
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
                    match value {
                        Value::Array(items) => {
                            form.extend_pairs(items.iter().map(|item| (name, text_of(item))));
                        }
                        value => {
                            form.append_pair(name, &text_of(value));
                        }
                    }
                }
                form.finish()
            }
        };
        request.set_header("content-type", body.media.clone());
        request.body = Some(bytes.into_bytes());
        Ok(())
    }

    /// Puts a credential where the document wants it: a key in a header field, a query parameter or a cookie is the secret of
    /// `bearer`; all others go where their own kind says.
    ///
    /// # Errors
    /// Its value is not there.
    pub fn apply(
        (scheme, auth): (Option<&Scheme>, &Auth),
        request: &mut Outgoing,
        values: &Values,
        token: Option<&str>,
    ) -> Result<(), String> {
        let Some(SchemeKind::ApiKey { place, name }) = scheme.map(|scheme| &scheme.kind) else {
            return auth.apply(request, values, token);
        };
        let Auth::Bearer(secret) = auth else {
            return auth.apply(request, values, token);
        };
        let value = values
            .get(secret)
            .ok_or_else(|| format!("there is no secret {secret}"))?;
        match place {
            Place::Query => request.secret_query(name, value),
            Place::Cookie => {
                let before = request
                    .header("cookie")
                    .map(|c| format!("{c}; "))
                    .unwrap_or_default();
                request.secret_header("cookie", format!("{before}{name}={value}"));
            }
            Place::Header | Place::Path => request.secret_header(name, value.clone()),
        }
        Ok(())
    }
}

fn text_of(value: &Value) -> String {
    plain(value).unwrap_or_else(|| value.to_string())
}

/// A value in the path; none where it would be empty or lead elsewhere.
fn in_path(parameter: &Parameter, value: &Value) -> Option<String> {
    let encode = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
    if let Some(text) = plain(value)
        && matches!(parameter.style, Style::Simple)
    {
        return encode_segment(&text).ok();
    }
    let text = match parameter.style {
        Style::Label => {
            let between = if parameter.explode { "." } else { "," };
            format!(".{}", simple(value, parameter.explode, between, &encode))
        }
        Style::Matrix => matrix(parameter, value, &encode),
        Style::Json => encode(&value.to_string()),
        _ => simple(value, parameter.explode, ",", &encode),
    };
    Some(text).filter(|text| !text.is_empty() && !value.is_null())
}

fn matrix(parameter: &Parameter, value: &Value, encode: &dyn Fn(&str) -> String) -> String {
    let name = encode(&parameter.name);
    match (value, parameter.explode) {
        (Value::Array(items), true) => {
            let each = items
                .iter()
                .map(|item| format!(";{name}={}", encode(&text_of(item))));
            each.collect()
        }
        (Value::Object(map), true) => {
            let each = map
                .iter()
                .map(|(key, item)| format!(";{}={}", encode(key), encode(&text_of(item))));
            each.collect()
        }
        _ => format!(";{name}={}", simple(value, false, ",", encode)),
    }
}

/// Parts with something between them.
fn simple(value: &Value, explode: bool, between: &str, encode: &dyn Fn(&str) -> String) -> String {
    let equals = if explode { "=" } else { between };
    let parts: Vec<String> = match value {
        Value::Array(items) => items.iter().map(|item| encode(&text_of(item))).collect(),
        Value::Object(map) => {
            let each = map.iter();
            each.map(|(key, item)| format!("{}{equals}{}", encode(key), encode(&text_of(item))))
                .collect()
        }
        other => vec![encode(&text_of(other))],
    };
    parts.join(between)
}

/// A value as pairs, in the query or in cookies.
fn pairs(parameter: &Parameter, value: &Value) -> Vec<(String, String)> {
    let name = || parameter.name.clone();
    let joined = |between: &str| {
        let as_is = |part: &str| part.to_owned();
        vec![(name(), simple(value, false, between, &as_is))]
    };
    match (value, parameter.style, parameter.explode) {
        (_, Style::Json, _) => vec![(name(), value.to_string())],
        (Value::Array(items), _, true) => {
            items.iter().map(|item| (name(), text_of(item))).collect()
        }
        (Value::Object(map), Style::DeepObject, _) => {
            let each = map.iter();
            each.map(|(key, item)| (format!("{}[{key}]", parameter.name), text_of(item)))
                .collect()
        }
        (Value::Object(map), _, true) => map
            .iter()
            .map(|(key, item)| (key.clone(), text_of(item)))
            .collect(),
        (_, Style::SpaceDelimited, _) => joined(" "),
        (_, Style::PipeDelimited, _) => joined("|"),
        _ => joined(","),
    }
}
