//! Model references (`openai/gpt-4o-mini`) and the provider endpoint that each stands for.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use nodeai_models::{PROVIDERS, Protocol, provider};

use crate::{ChatRequest, ChatResponse, Error, StreamDecoder, anthropic, echo, gemini, openai};

/// The protocol that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// OpenAI's chat completions, or a server that copies them.
    OpenAiCompatible,
    /// Anthropic's messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
    /// `builtin/echo`: the test model, no network.
    Echo,
}

/// A model reference that names no provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing, or nothing after the slash.
    #[error("a model is written provider/model, for example openai/gpt-4o-mini or builtin/echo")]
    Empty,
    /// The part before the slash is no known provider.
    #[error("unknown model provider {0:?}: use {known}, or set base_url to an OpenAI-compatible server", known = known())]
    UnknownProvider(String),
    /// `builtin/` has only `echo`, and `hash` where vectors are asked for.
    #[error("the only built-in models are builtin/echo, and builtin/hash for vectors")]
    UnknownBuiltin,
    /// The base URL is not an http(s) URL.
    #[error("base_url must start with http:// or https://")]
    BadBaseUrl,
}

/// One model at one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The protocol.
    pub provider: Provider,
    /// `gen_ai.provider.name`.
    pub name: String,
    /// Where it is, without a slash at the end; empty for the built-in model.
    pub base_url: String,
    /// The model's name at the provider.
    pub model: String,
    /// The secret that holds the API key when the node names none.
    pub key_secret: Option<&'static str>,
}

/// The prefixes of all providers, for a person.
fn known() -> String {
    let prefixes: Vec<&str> = PROVIDERS.iter().map(|one| one.prefix).collect();
    prefixes.join(", ")
}

impl From<Protocol> for Provider {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::OpenAi => Self::OpenAiCompatible,
            Protocol::Anthropic => Self::Anthropic,
            Protocol::Gemini => Self::Gemini,
            Protocol::BuiltIn => Self::Echo,
        }
    }
}

impl Endpoint {
    /// Finds the endpoint of a reference. With a `base_url` the protocol is that of the
    /// prefix, or OpenAI's when the prefix is no known provider; the model is then the
    /// whole reference.
    ///
    /// # Errors
    /// When the reference names no provider.
    pub fn resolve(reference: &str, base_url: Option<&str>) -> Result<Self, ReferenceError> {
        let reference = reference.trim();
        let base_url = base_url
            .map(|url| url.trim().trim_end_matches('/'))
            .filter(|u| !u.is_empty());
        if base_url.is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            return Err(ReferenceError::BadBaseUrl);
        }
        let (prefix, rest) = reference.split_once('/').unwrap_or(("", reference));
        if rest.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if prefix == "builtin" && base_url.is_none() {
            return if rest == "echo" {
                Ok(Self::echo())
            } else {
                Err(ReferenceError::UnknownBuiltin)
            };
        }
        let known = provider(prefix).filter(|known| known.protocol != Protocol::BuiltIn);
        match (known, base_url) {
            (Some(known), _) => Ok(Self {
                provider: known.protocol.into(),
                name: known.name.to_owned(),
                base_url: base_url.unwrap_or(known.base_url).to_owned(),
                model: rest.to_owned(),
                // A stranger's server must not be sent the provider's key unasked.
                key_secret: base_url.is_none().then_some(known.key_secret),
            }),
            (None, Some(url)) => Ok(Self {
                provider: Provider::OpenAiCompatible,
                name: "openai_compatible".to_owned(),
                base_url: url.to_owned(),
                model: reference.to_owned(),
                key_secret: None,
            }),
            (None, None) if prefix.is_empty() => Err(ReferenceError::Empty),
            (None, None) => Err(ReferenceError::UnknownProvider(prefix.to_owned())),
        }
    }

    fn echo() -> Self {
        Self {
            provider: Provider::Echo,
            name: "builtin".to_owned(),
            base_url: String::new(),
            model: "echo".to_owned(),
            key_secret: None,
        }
    }

    /// Whether the model answers without network.
    pub fn is_builtin(&self) -> bool {
        self.provider == Provider::Echo
    }

    /// Builds the HTTP request. `key` is the API key; local servers often need none.
    ///
    /// # Errors
    /// When the URL or key cannot be sent over HTTP, or the model is built in.
    pub fn request(
        &self,
        chat: &ChatRequest,
        key: Option<&str>,
        stream: bool,
    ) -> Result<http::Request<Bytes>, Error> {
        let request = match self.provider {
            Provider::OpenAiCompatible => openai::request(self, chat, key, stream),
            Provider::Anthropic => anthropic::request(self, chat, key, stream),
            Provider::Gemini => gemini::request(self, chat, key, stream),
            Provider::Echo => return Err(Error::invalid("builtin/echo needs no request")),
        };
        request.map_err(|error| {
            // The error of a bad header value does not quote it, so no key leaks here.
            Error::invalid(format!(
                "base_url, model or api_key cannot be sent over HTTP: {error}"
            ))
        })
    }

    /// Parses a whole answer with a success status.
    ///
    /// # Errors
    /// When it breaks the provider's contract.
    pub fn parse(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        let json = serde_json::from_slice(body)
            .map_err(|_| Error::malformed("the provider's answer is not JSON"))?;
        match self.provider {
            Provider::OpenAiCompatible => openai::parse(&json),
            Provider::Anthropic => anthropic::parse(&json),
            Provider::Gemini => gemini::parse(&json),
            Provider::Echo => Err(Error::invalid("builtin/echo needs no parsing")),
        }
    }

    /// Turns an answer with a failure status into an error.
    pub fn classify(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
        Error::from_response(status, headers, body)
    }

    /// A decoder for a streamed answer.
    pub fn decoder(&self) -> StreamDecoder {
        StreamDecoder::new(self.provider, &self.model)
    }

    /// The test model's answer; none for every other model.
    pub fn builtin_answer(&self, chat: &ChatRequest) -> Option<ChatResponse> {
        self.is_builtin().then(|| echo::answer(chat))
    }

    /// The reference by which the catalogue knows the model, such as `openai/gpt-4o-mini`.
    pub fn reference(&self) -> String {
        let known = PROVIDERS.iter().find(|known| known.name == self.name);
        let prefix = known.map_or(self.name.as_str(), |known| known.prefix);
        format!("{prefix}/{}", self.model)
    }
}

/// A JSON POST with the headers given; empty values are left out.
pub(crate) fn post(
    url: String,
    headers: &[(&str, Option<&str>)],
    body: &serde_json::Value,
) -> http::Result<http::Request<Bytes>> {
    let mut request = http::Request::post(url).header("content-type", "application/json");
    for (name, value) in headers {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let mut value = http::HeaderValue::from_str(value)?;
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
    }
    request.body(Bytes::from(body.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_prefixes_resolve_to_their_providers() {
        let endpoint = Endpoint::resolve("anthropic/claude-sonnet-4-5", None).expect("known");
        assert_eq!(endpoint.provider, Provider::Anthropic);
        assert_eq!(endpoint.key_secret, Some("ANTHROPIC_API_KEY"));
        assert_eq!(endpoint.reference(), "anthropic/claude-sonnet-4-5");
        assert!(
            Endpoint::resolve("builtin/echo", None)
                .expect("known")
                .is_builtin()
        );
    }

    #[test]
    fn a_base_url_takes_any_model_and_no_stored_key() {
        let endpoint = Endpoint::resolve("meta/llama-3", Some("http://h:1/v1/")).expect("any");
        assert_eq!(
            (endpoint.model.as_str(), endpoint.base_url.as_str()),
            ("meta/llama-3", "http://h:1/v1")
        );
        assert_eq!(endpoint.key_secret, None);
        let endpoint = Endpoint::resolve("openai/gpt", Some("http://h/v1")).expect("any");
        assert_eq!(
            (endpoint.model.as_str(), endpoint.key_secret),
            ("gpt", None)
        );
    }

    #[test]
    fn refuses_what_names_no_provider() {
        use ReferenceError::*;
        assert_eq!(Endpoint::resolve("gpt-4o", None), Err(Empty));
        assert_eq!(Endpoint::resolve("openai/", None), Err(Empty));
        assert_eq!(
            Endpoint::resolve("acme/x", None),
            Err(UnknownProvider("acme".into()))
        );
        assert_eq!(Endpoint::resolve("builtin/x", None), Err(UnknownBuiltin));
        assert_eq!(
            Endpoint::resolve("a/b", Some("file:///etc")),
            Err(BadBaseUrl)
        );
    }

    #[test]
    fn a_key_with_a_line_break_is_refused_without_being_quoted() {
        let endpoint = Endpoint::resolve("openai/gpt-4o", None).expect("known");
        let error = endpoint
            .request(&ChatRequest::default(), Some("sec\nret"), false)
            .expect_err("bad");
        assert!(!error.message.contains("sec"), "{}", error.message);
    }
}
