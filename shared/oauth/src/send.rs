//! Requests to a provider, and what can go wrong with them.

use bytes::Bytes;
use http::{Request, Response};
use nodeai_app::Cx;
use nodeai_guard::UrlGuard;
use nodeai_http::Problem;
use nodeai_ports::SendError;
use url::Url;

/// Largest answer of a provider that is looked at, bytes.
const MOST_BYTES: usize = 1 << 20;

/// Why a provider gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The provider said no: an error code of RFC 6749 and maybe a description.
    #[error("the provider refused: {0}")]
    Refused(String),
    /// The provider cannot be reached, or failed.
    #[error("the provider cannot be reached: {0}")]
    Unavailable(String),
    /// The provider answered something that is no answer of the protocol.
    #[error("the provider's answer was not understood: {0}")]
    Malformed(String),
    /// Our side: its URL may not be called, its client secret is missing.
    #[error("{0}")]
    Configuration(String),
    /// Ours, with its own status.
    #[error("{}", .0.detail.as_deref().unwrap_or(&.0.title))]
    Problem(Box<Problem>),
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let text = fault.to_string();
        match fault {
            Fault::Refused(_) | Fault::Malformed(_) => Self::provider_refused(text),
            Fault::Unavailable(_) => Self::unavailable(text).retry_after(5),
            Fault::Configuration(_) => Self::conflict(text),
            Fault::Problem(problem) => *problem,
        }
    }
}

impl Fault {
    /// Whether the provider says that the grant is over (RFC 6749, section 5.2; GitHub has a word of its own). Other
    /// refusals, such as of the client, say nothing about the grant.
    pub fn ends_grant(&self) -> bool {
        matches!(self, Self::Refused(said)
            if said.starts_with("invalid_grant") || said.starts_with("bad_refresh_token"))
    }

    /// Whether the same request may succeed later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Problem(problem) => problem.status == 503,
            _ => false,
        }
    }
}

/// Sends a request that carries credentials: over https, to a public host, unless the operator has excepted it.
pub(crate) async fn send(cx: &Cx, request: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
    let url = parse(&request.uri().to_string())?;
    let guard = UrlGuard::configured(&**cx.env()).await;
    let checked = guard.check_confidential(&url);
    checked.map_err(|refused| Fault::Configuration(format!("{url}: {refused}")))?;
    let answer = cx.env().send(request).await.map_err(|error| match error {
        SendError::Refused(_) => Fault::Configuration(format!("{}: {error}", host(&url))),
        _ => Fault::Unavailable(format!("{}: {error}", host(&url))),
    })?;
    if answer.body().len() > MOST_BYTES {
        return Err(Fault::Malformed("it is larger than 1 MiB".to_owned()));
    }
    Ok(answer)
}

pub(crate) fn parse(url: &str) -> Result<Url, Fault> {
    Url::parse(url).map_err(|error| Fault::Configuration(format!("{url}: {error}")))
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// A request, from parts that are known to fit.
pub(crate) fn request(
    builder: http::request::Builder,
    body: impl Into<Bytes>,
) -> Result<Request<Bytes>, Fault> {
    let builder = builder
        .header(http::header::ACCEPT, "application/json")
        .header(http::header::USER_AGENT, "nodeai");
    let made = builder.body(body.into());
    made.map_err(|error| Fault::Configuration(format!("cannot be sent: {error}")))
}
