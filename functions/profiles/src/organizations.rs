//! `POST /api/v1/profiles/organizations`

use crate::Own;
use crate::me::Membership;
use nodeai_app::{Caller, Command, Created, Valid, clock};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// An organisation to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganizationInput {
    /// 1 to 200 characters.
    name: String,
    /// Short name: lower-case letters, digits and `-`, at most 63.
    #[serde(default)]
    slug: Option<String>,
}

impl Check for OrganizationInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        if let Some(slug) = &self.slug {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            let holds = (1..=63).contains(&slug.len())
                && slug.bytes().all(plain)
                && !slug.starts_with('-')
                && !slug.ends_with('-');
            let detail = "lower-case letters, digits and '-' within, at most 63";
            c.require(holds, "/slug", "format", detail);
        }
    }
}

/// Makes it, with the caller as its owner.
pub async fn create(
    caller: Caller<Own>,
    Valid(input): Valid<OrganizationInput>,
) -> Result<Created<Membership>, Problem> {
    let id = clock::new_id();
    let args = json!({"id": id, "name": input.name, "slug": input.slug});
    let command = Command::named("create_organization", "organisation", &id, args)
        .audit("organization.created", json!({"name": input.name}))
        .answer(201, &[("location", "/api/v1/profiles/me")], &json!({}));
    caller.write(command).await.map(Created::from)
}
