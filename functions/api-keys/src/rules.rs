//! What a key may be given: well-formed limits, and nothing that its maker does not have.

use ipnet::IpNet;
use nodeai_auth::scope;
use nodeai_http::{Checker, Problem};
use nodeai_store::Principal;

/// Most entries of a list.
const MOST: usize = 100;

/// Checks the form of the scopes.
pub fn check_scopes(c: &mut Checker, scopes: &[String]) {
    let some = (1..=MOST).contains(&scopes.len());
    c.require(some, "/scopes", "length", "1 to 100 scopes");
    for (i, text) in scopes.iter().enumerate() {
        let detail = "a scope is area:action, such as workflows:run; * stands for any";
        c.require(
            scope::is_scope(text),
            &format!("/scopes/{i}"),
            "format",
            detail,
        );
    }
}

/// Checks the ids of workflows.
pub fn check_workflows(c: &mut Checker, ids: &[String]) {
    let some = (1..=MOST).contains(&ids.len());
    c.require(
        some,
        "/workflow_ids",
        "length",
        "1 to 100 workflows, or null",
    );
    for (i, id) in ids.iter().enumerate() {
        let valid = uuid::Uuid::parse_str(id).is_ok();
        c.require(
            valid,
            &format!("/workflow_ids/{i}"),
            "format",
            "must be a UUID",
        );
    }
}

/// Checks the networks.
pub fn check_networks(c: &mut Checker, networks: &[String]) {
    let some = (1..=MOST).contains(&networks.len());
    c.require(some, "/ip_allow", "length", "1 to 100 networks, or null");
    for (i, text) in networks.iter().enumerate() {
        let detail = "must be an address or a network in CIDR notation, such as 10.0.0.0/8";
        c.require(
            network(text).is_some(),
            &format!("/ip_allow/{i}"),
            "format",
            detail,
        );
    }
}

/// An address or a network, with its host bits cleared.
pub fn network(text: &str) -> Option<String> {
    let net: IpNet = match text.parse() {
        Ok(net) => net,
        Err(_) => IpNet::from(text.parse::<std::net::IpAddr>().ok()?),
    };
    Some(net.trunc().to_string())
}

/// Refuses scopes and workflows that the maker does not have. Errors: 403.
pub fn within(
    maker: &Principal,
    scopes: &[String],
    workflows: Option<&[String]>,
) -> Result<(), Problem> {
    if let Some(excess) = scopes.iter().find(|s| !scope::covers(&maker.scopes, s)) {
        return Err(Problem::forbidden(format!(
            "the scope {excess} is more than this caller has"
        )));
    }
    let Some(own) = &maker.workflow_ids else {
        return Ok(());
    };
    let inside = workflows.is_some_and(|ids| ids.iter().all(|id| own.contains(id)));
    match inside {
        true => Ok(()),
        false => Err(Problem::forbidden(
            "a key for certain workflows makes keys for those only: give workflow_ids",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn networks_are_written_one_way() {
        for (text, want) in [
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("2001:db8::1/32", Some("2001:db8::/32")),
            ("::1", Some("::1/128")),
            ("10.0.0.0/33", None),
            ("example.com", None),
            ("", None),
        ] {
            assert_eq!(network(text).as_deref(), want, "{text}");
        }
    }
}
