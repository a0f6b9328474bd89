//! Which models a key may use, as providers list them: `GET …/models` of OpenAI
//! (<https://platform.openai.com/docs/api-reference/models/list>), Anthropic and Gemini.

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use nodeai_models::Protocol;
use serde_json::Value;

use crate::{Error, anthropic};

/// Models per page where a provider has pages: the most that each of them gives.
const PAGE: &str = "1000";

/// The request for the first page of the list; none for the test models.
///
/// # Errors
/// When the address or the key cannot be sent over HTTP.
pub fn request(
    protocol: Protocol,
    base_url: &str,
    key: Option<&str>,
) -> Result<Option<Request<Bytes>>, Error> {
    let base = base_url.trim_end_matches('/');
    let (url, name, value) = match protocol {
        Protocol::OpenAi => {
            let bearer = key.map(|key| format!("Bearer {key}"));
            (format!("{base}/models"), "authorization", bearer)
        }
        Protocol::Anthropic => {
            let url = format!("{base}/models?limit={PAGE}");
            (url, "x-api-key", key.map(str::to_owned))
        }
        Protocol::Gemini => {
            let url = format!("{base}/models?pageSize={PAGE}");
            (url, "x-goog-api-key", key.map(str::to_owned))
        }
        Protocol::BuiltIn => return Ok(None),
    };
    let unsendable = || Error::invalid("the address or the key cannot be sent over HTTP");
    let mut request = Request::get(url).header(header::ACCEPT, "application/json");
    if let Some(value) = value {
        let mut value = HeaderValue::from_str(&value).map_err(|_| unsendable())?;
        value.set_sensitive(true);
        request = request.header(name, value);
    }
    if protocol == Protocol::Anthropic {
        request = request.header("anthropic-version", anthropic::VERSION);
    }
    let request = request.body(Bytes::new());
    request.map(Some).map_err(|_| unsendable())
}

/// The models' names in a list.
///
/// # Errors
/// When it breaks the provider's contract.
pub fn read(protocol: Protocol, body: &[u8]) -> Result<Vec<String>, Error> {
    let list: Value = serde_json::from_slice(body)
        .map_err(|_| Error::malformed("the provider's list of models is not JSON"))?;
    let (rows, name) = match protocol {
        Protocol::Gemini => (&list["models"], "name"),
        // Together gives the list without anything around it.
        _ if list.is_array() => (&list, "id"),
        _ => (&list["data"], "id"),
    };
    let rows = rows
        .as_array()
        .ok_or_else(|| Error::malformed("the provider's answer is no list of models"))?;
    let names = rows.iter().filter_map(|row| row[name].as_str());
    let plain = names.map(|name| name.trim_start_matches("models/").to_owned());
    Ok(plain.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_is_asked_in_its_own_form_and_keys_are_not_shown() {
        let ask = |protocol| {
            request(protocol, "https://p.example/v1/", Some("k"))
                .expect("sendable")
                .expect("a network")
        };
        let openai = ask(Protocol::OpenAi);
        assert_eq!(openai.uri(), "https://p.example/v1/models");
        assert_eq!(openai.headers()["authorization"], "Bearer k");
        assert!(openai.headers()["authorization"].is_sensitive());
        let anthropic = ask(Protocol::Anthropic);
        assert_eq!(anthropic.headers()["x-api-key"], "k");
        assert_eq!(anthropic.headers()["anthropic-version"], "2023-06-01");
        let gemini = ask(Protocol::Gemini);
        assert_eq!(gemini.uri(), "https://p.example/v1/models?pageSize=1000");
        assert_eq!(gemini.headers()["x-goog-api-key"], "k");
        assert!(matches!(request(Protocol::BuiltIn, "", None), Ok(None)));
        assert!(request(Protocol::OpenAi, "https://p.example", Some("a\nb")).is_err());
    }

    #[test]
    fn lists_are_read_as_each_provider_gives_them() {
        let openai = br#"{"object": "list", "data": [{"id": "gpt-5", "object": "model"}]}"#;
        assert_eq!(read(Protocol::OpenAi, openai).expect("a list"), ["gpt-5"]);
        let together = br#"[{"id": "meta-llama/x"}]"#;
        assert_eq!(
            read(Protocol::OpenAi, together).expect("a list"),
            ["meta-llama/x"]
        );
        let gemini = br#"{"models": [{"name": "models/gemini-2.5-pro"}]}"#;
        assert_eq!(
            read(Protocol::Gemini, gemini).expect("a list"),
            ["gemini-2.5-pro"]
        );
        assert!(read(Protocol::OpenAi, br#"{"error": {}}"#).is_err());
        assert!(read(Protocol::OpenAi, b"<html>").is_err());
    }
}
