//! `POST /api/v1/oauth/providers`

use super::check;
use crate::OauthWrite;
use crate::model::{PROVIDER, ProviderShown, oauth_providers};
use nodeai_app::{Caller, Created, Op, Valid, Write, clock};
use nodeai_http::{Check, Checker, FieldError, Problem};
use nodeai_oauth::discovery::{self, Metadata};
use nodeai_oauth::presets::{self, Preset};
use nodeai_oauth::{Fault, Revocation, TokenAuth};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

/// A provider: by `preset`, by `issuer` (its metadata are read), or by its endpoints. What is given wins.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderInput {
    /// Its name in requests: 1 to 63 lower-case letters, digits and `-`.
    slug: String,
    /// Its name for people; that of the preset or the slug unless given.
    #[serde(default)]
    name: Option<String>,
    /// `google`, `github`, `slack`, `notion` or `microsoft`.
    #[serde(default)]
    preset: Option<String>,
    /// The identifier of an OpenID provider or authorization server.
    #[serde(default)]
    issuer: Option<String>,
    /// Whether an answer without `iss` is refused (RFC 9207); as the metadata say unless given.
    #[serde(default)]
    issuer_in_response: Option<bool>,
    /// Where people are sent.
    #[serde(default)]
    authorization_endpoint: Option<String>,
    /// Where codes become tokens.
    #[serde(default)]
    token_endpoint: Option<String>,
    /// Where tokens are taken back (RFC 7009).
    #[serde(default)]
    revocation_endpoint: Option<String>,
    /// Who has been connected.
    #[serde(default)]
    userinfo_endpoint: Option<String>,
    /// How the client names itself at the token endpoint.
    #[serde(default)]
    token_auth: Option<TokenAuth>,
    /// How tokens are taken back.
    #[serde(default)]
    revocation: Option<Revocation>,
    /// The client's id, as it was registered.
    client_id: String,
    /// Name of the secret (in the vault) that holds the client's secret; absent for a public client.
    #[serde(default)]
    client_secret: Option<String>,
    /// Scopes that are asked for unless a request names others.
    #[serde(default)]
    scopes: Option<Vec<String>>,
    /// Further parameters of the authorization request.
    #[serde(default)]
    authorize_parameters: Option<BTreeMap<String, String>>,
    /// Where answers may go, as they were registered; compared exactly.
    redirect_uris: Vec<String>,
    /// The only hosts that tokens may be sent to; those of the endpoints unless given.
    #[serde(default)]
    hosts: Option<Vec<String>>,
}

impl Check for ProviderInput {
    fn check(&self, c: &mut Checker) {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let slug = (1..=63).contains(&self.slug.len())
            && self.slug.bytes().all(plain)
            && !self.slug.starts_with('-')
            && !self.slug.ends_with('-');
        c.require(
            slug,
            "/slug",
            "format",
            "1 to 63 lower-case letters, digits and inner -",
        );
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        let known = self
            .preset
            .as_deref()
            .is_none_or(|name| presets::find(name).is_some());
        c.require(
            known,
            "/preset",
            "unknown",
            "there is no such preset; see GET /api/v1/oauth/presets",
        );
        c.length(&self.client_id, 1, 500, "/client_id");
        if let Some(name) = &self.client_secret {
            check::client_secret(c, name);
        }
        check::scopes(c, self.scopes.as_deref().unwrap_or_default());
        check::redirect_uris(c, &self.redirect_uris);
        if let Some(parameters) = &self.authorize_parameters {
            check::authorize_parameters(c, parameters);
        }
        if let Some(hosts) = &self.hosts {
            check::hosts(c, hosts);
        }
    }
}

/// What is stored.
#[derive(Serialize)]
struct Row {
    slug: String,
    name: String,
    issuer: Option<String>,
    issuer_in_response: bool,
    authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    token_auth: TokenAuth,
    revocation: Revocation,
    client_id: String,
    client_secret: Option<String>,
    scopes: Vec<String>,
    authorize_parameters: BTreeMap<String, String>,
    redirect_uris: Vec<String>,
    hosts: Vec<String>,
}

/// Fills in what preset or metadata say, checks where credentials would go, and stores.
pub async fn handle(
    caller: Caller<OauthWrite>,
    Valid(input): Valid<ProviderInput>,
) -> Result<Created<ProviderShown>, Problem> {
    let urls = [
        ("issuer", input.issuer.as_deref()),
        (
            "authorization_endpoint",
            input.authorization_endpoint.as_deref(),
        ),
        ("token_endpoint", input.token_endpoint.as_deref()),
        ("revocation_endpoint", input.revocation_endpoint.as_deref()),
        ("userinfo_endpoint", input.userinfo_endpoint.as_deref()),
    ];
    check::endpoints(&caller, &urls).await?;
    let metadata = metadata(&caller, &input).await?;
    let row = filled(input, metadata)?;
    let id = clock::new_id();
    let location = format!("/api/v1/oauth/providers/{id}");
    let write = Write::new(Op::Insert, oauth_providers::TABLE, "provider", &id)
        .row(json!(row))
        .returning(PROVIDER)
        .audit("oauth_provider.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}

/// Metadata are read when an issuer is named without the endpoints that are needed.
async fn metadata(
    caller: &Caller<OauthWrite>,
    input: &ProviderInput,
) -> Result<Option<Metadata>, Problem> {
    let complete = input.authorization_endpoint.is_some() && input.token_endpoint.is_some();
    let Some(issuer) = input.issuer.as_deref().filter(|_| !complete) else {
        return Ok(None);
    };
    let found = discovery::discover(&caller.cx, issuer).await;
    let found = found.map_err(|fault| match fault {
        Fault::Malformed(text) | Fault::Configuration(text) | Fault::Refused(text) => {
            Problem::fields(vec![FieldError::body("/issuer", "metadata", text)])
        }
        other => other.into(),
    })?;
    let urls = [
        ("issuer", Some(found.authorization_endpoint.as_str())),
        ("issuer", Some(found.token_endpoint.as_str())),
        ("issuer", found.revocation_endpoint.as_deref()),
        ("issuer", found.userinfo_endpoint.as_deref()),
    ];
    check::endpoints(caller, &urls).await?;
    Ok(Some(found))
}

fn filled(input: ProviderInput, metadata: Option<Metadata>) -> Result<Row, Problem> {
    let preset = input.preset.as_deref().and_then(presets::find);
    let of_preset =
        |field: fn(&Preset) -> Option<&'static str>| preset.and_then(field).map(str::to_owned);
    let told = metadata.as_ref();
    let needed = |field: &'static str, found: Option<String>| {
        let detail = "give the endpoints, an issuer whose metadata have them, or a preset";
        found.ok_or_else(|| Problem::fields(vec![FieldError::body(field, "required", detail)]))
    };
    let authorization_endpoint = input
        .authorization_endpoint
        .or_else(|| told.map(|m| m.authorization_endpoint.clone()))
        .or_else(|| of_preset(|p| Some(p.authorization_endpoint)));
    let authorization_endpoint = needed("/authorization_endpoint", authorization_endpoint)?;
    let token_endpoint = input
        .token_endpoint
        .or_else(|| told.map(|m| m.token_endpoint.clone()))
        .or_else(|| of_preset(|p| Some(p.token_endpoint)));
    let token_endpoint = needed("/token_endpoint", token_endpoint)?;
    let userinfo_endpoint = input
        .userinfo_endpoint
        .or_else(|| told.and_then(|m| m.userinfo_endpoint.clone()))
        .or_else(|| of_preset(|p| p.userinfo_endpoint));
    let public = input.client_secret.is_none();
    let usual = || match (public, preset, told) {
        (true, ..) => TokenAuth::None,
        (_, Some(preset), _) => preset.token_auth,
        (_, _, Some(metadata)) => auth_of(metadata),
        _ => TokenAuth::Basic,
    };
    let token_auth = input.token_auth.unwrap_or_else(usual);
    if public != (token_auth == TokenAuth::None) {
        let detail = "basic and post need a client_secret; none goes without";
        return Err(Problem::fields(vec![FieldError::body(
            "/token_auth",
            "client_secret",
            detail,
        )]));
    }
    let hosts = input.hosts.unwrap_or_else(|| match preset {
        Some(preset) => owned(preset.hosts),
        None => hosts_of(&[Some(&token_endpoint), userinfo_endpoint.as_ref()]),
    });
    let parameters = |p: &Preset| p.authorize_parameters.iter();
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Ok(Row {
        name: input
            .name
            .or_else(|| of_preset(|p| Some(p.name)))
            .unwrap_or_else(|| input.slug.clone()),
        slug: input.slug,
        issuer: input.issuer.or_else(|| of_preset(|p| p.issuer)),
        issuer_in_response: input.issuer_in_response.unwrap_or_else(|| {
            told.is_some_and(|m| m.authorization_response_iss_parameter_supported)
        }),
        authorization_endpoint,
        token_endpoint,
        revocation_endpoint: input
            .revocation_endpoint
            .or_else(|| told.and_then(|m| m.revocation_endpoint.clone()))
            .or_else(|| of_preset(|p| p.revocation_endpoint)),
        userinfo_endpoint,
        token_auth,
        revocation: input
            .revocation
            .unwrap_or_else(|| preset.map(|p| p.revocation).unwrap_or_default()),
        client_id: input.client_id,
        client_secret: input.client_secret,
        scopes: input
            .scopes
            .unwrap_or_else(|| preset.map(|p| owned(p.scopes)).unwrap_or_default()),
        authorize_parameters: input.authorize_parameters.unwrap_or_else(|| {
            preset
                .map(|p| parameters(p).map(pair).collect())
                .unwrap_or_default()
        }),
        redirect_uris: input.redirect_uris,
        hosts,
    })
}

/// RFC 8414: Basic when nothing is said.
fn auth_of(metadata: &Metadata) -> TokenAuth {
    let methods = metadata.token_endpoint_auth_methods_supported.as_deref();
    let has = |name: &str| methods.is_none_or(|list| list.iter().any(|method| method == name));
    match has("client_secret_basic") || !has("client_secret_post") {
        true => TokenAuth::Basic,
        false => TokenAuth::Post,
    }
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// The hosts of these URLs, each with its port where that is not the usual one.
fn hosts_of(urls: &[Option<&String>]) -> Vec<String> {
    let parsed = urls.iter().flatten().filter_map(|url| Url::parse(url).ok());
    let named = parsed.filter_map(|url| {
        let host = url.host_str()?.to_owned();
        Some(
            url.port()
                .map_or(host.clone(), |port| format!("{host}:{port}")),
        )
    });
    named.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(slug: &str) -> ProviderInput {
        ProviderInput {
            slug: slug.to_owned(),
            client_id: "id".to_owned(),
            client_secret: Some("SECRET".to_owned()),
            redirect_uris: vec!["https://app.example/cb".to_owned()],
            ..ProviderInput::default()
        }
    }

    #[test]
    fn a_preset_fills_in_what_is_not_given() {
        let given = ProviderInput {
            preset: Some("google".to_owned()),
            scopes: Some(vec!["openid".to_owned()]),
            ..input("g")
        };
        let row = filled(given, None).unwrap();
        assert_eq!(row.name, "Google");
        assert_eq!(row.scopes, ["openid"]);
        assert_eq!(row.authorize_parameters["access_type"], "offline");
        assert_eq!(row.hosts, ["*.googleapis.com"]);
        assert_eq!(row.token_auth, TokenAuth::Post);
    }

    #[test]
    fn without_endpoints_it_is_nothing_and_without_a_secret_it_is_public() {
        let problem = filled(input("x"), None).err().unwrap();
        assert_eq!(
            problem.errors[0].pointer.as_deref(),
            Some("/authorization_endpoint")
        );
        let own = |token_auth| ProviderInput {
            authorization_endpoint: Some("https://p.example/a".to_owned()),
            token_endpoint: Some("https://p.example:8443/t".to_owned()),
            client_secret: None,
            token_auth,
            ..input("x")
        };
        let row = filled(own(None), None).unwrap();
        assert_eq!(row.token_auth, TokenAuth::None);
        assert_eq!(row.hosts, ["p.example:8443"]);
        assert!(filled(own(Some(TokenAuth::Basic)), None).is_err());
    }
}
