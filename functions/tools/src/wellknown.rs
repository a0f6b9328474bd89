//! The MCP server's metadata as a protected resource (RFC 9728), where it has an issuer of tokens.

use nodeai_app::Cx;
use nodeai_http::{FromCx, Problem, reply::Json};
use schemars::JsonSchema;
use serde::Serialize;
use std::rc::Rc;

/// The server's own path.
const SERVER: &str = "/api/v1/tools/mcp";
/// Where its metadata is.
const METADATA: &str = "/.well-known/oauth-protected-resource/api/v1/tools/mcp";

/// A request that nobody has to sign in for.
pub struct Asked(Rc<Cx>);

impl FromCx<Cx> for Asked {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        Ok(Self(cx))
    }
}

/// What a client has to know before it gets in.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ResourceMetadata {
    /// The server, for which tokens are asked.
    resource: String,
    /// Who issues tokens.
    authorization_servers: Vec<String>,
    /// How tokens are shown.
    bearer_methods_supported: Vec<String>,
    /// What it is called.
    resource_name: String,
}

/// Where the metadata is; none without an issuer, since then there is nothing to discover: callers show API keys.
pub fn place(cx: &Cx) -> Option<String> {
    cx.settings.tokens.expect.issuer.as_ref()?;
    Some(format!("{}{METADATA}", origin(cx)))
}

/// The origin that the client has used. Proxies that end TLS say so.
fn origin(cx: &Cx) -> String {
    let given = cx
        .header("spin-full-url")
        .or_else(|| cx.header("x-full-url"));
    let scheme = match (cx.header("x-forwarded-proto"), given) {
        (Some("https"), _) => "https",
        (_, Some(url)) if url.starts_with("https://") => "https",
        _ => "http",
    };
    let authority = cx.header("host").map(str::to_owned);
    let authority = authority.or_else(|| {
        let rest = given?.split_once("://")?.1;
        rest.split('/').next().map(str::to_owned)
    });
    // What a client says of itself must not become more than a name of a host.
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    let authority = authority.filter(|a| a.chars().all(plain));
    format!("{scheme}://{}", authority.as_deref().unwrap_or("localhost"))
}

/// The metadata.
pub async fn handle(Asked(cx): Asked) -> Result<Json<ResourceMetadata>, Problem> {
    let issuer = cx.settings.tokens.expect.issuer.clone();
    let issuer = issuer.ok_or_else(|| {
        Problem::not_found("no issuer of tokens is configured; the MCP server takes API keys")
    })?;
    Ok(Json::ok(ResourceMetadata {
        resource: format!("{}{SERVER}", origin(&cx)),
        authorization_servers: vec![issuer],
        bearer_methods_supported: vec!["header".to_owned()],
        resource_name: "NodeAI".to_owned(),
    }))
}
