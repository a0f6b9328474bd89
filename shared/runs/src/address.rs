//! Where somebody without a credential answers a node that waits: an address that nobody can guess, for one node of one run. It
//! follows from the run, the node and a master key, so that nothing has to be kept of it, and a run gives the same whenever it
//! is asked for it.
//!
//! `<run>.<node>` in base64url: the run's id and its tag, then the node's tag and way. The tag of a node is good for nothing
//! without the run's, which is what is blanked in logs.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use nodeai_app::Cx;
use nodeai_crypto::{MasterKeys, TAG_BYTES};
use nodeai_runner::{Address, AddressPort};
use uuid::Uuid;

/// The variable with the URL at which the installation is reached from outside.
const PUBLIC_URL: &str = "nodeai_public_url";
/// Below it, the addresses of waits.
const PATH: &str = "/hooks/wait/";
/// What the tags are for.
const OF_RUN: &str = "wait address, run";
const OF_NODE: &str = "wait address, node";
/// Longest token that is looked at, bytes.
const LONGEST: usize = 8 * 1024;

/// The addresses of one run's waits.
pub struct Addresses {
    keys: Option<MasterKeys>,
    base: String,
    execution_id: String,
}

impl Addresses {
    /// Of this run.
    pub async fn of(cx: &Cx, execution_id: &str) -> Self {
        let base = cx.env().get(PUBLIC_URL).await.unwrap_or_default();
        Self {
            keys: cx.settings.master_keys.as_ref().ok().cloned(),
            base: base.trim().trim_end_matches('/').to_owned(),
            execution_id: execution_id.to_owned(),
        }
    }

    /// The address of a node; none without master keys.
    pub fn url(&self, node: &str) -> Option<String> {
        self.address(node).map(|address| address.url)
    }
}

impl AddressPort for Addresses {
    fn address(&self, node: &str) -> Option<Address> {
        let (run, node) = parts(self.keys.as_ref()?, &self.execution_id, node)?;
        Some(Address {
            url: format!("{}{PATH}{run}.{node}", self.base),
            secret: run,
        })
    }
}

impl std::fmt::Debug for Addresses {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Addresses")
    }
}

/// The two parts of a node's token.
fn parts(keys: &MasterKeys, execution_id: &str, node: &str) -> Option<(String, String)> {
    let id = Uuid::parse_str(execution_id).ok()?;
    let mut run = id.as_bytes().to_vec();
    run.extend(keys.tag(OF_RUN, id.as_bytes()));
    let mut of_node = keys.tag(OF_NODE, &tagged(id, node.as_bytes())).to_vec();
    of_node.extend(node.as_bytes());
    let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    Some((text(&run), text(&of_node)))
}

/// The run and the node that a token is for; none when this installation has not given it away.
pub fn read(keys: &MasterKeys, token: &str) -> Option<(String, String)> {
    if token.len() > LONGEST {
        return None;
    }
    let (run, node) = token.split_once('.')?;
    let run = BASE64_URL_SAFE_NO_PAD.decode(run).ok()?;
    let node = BASE64_URL_SAFE_NO_PAD.decode(node).ok()?;
    let (id, of_run) = run.split_at_checked(16)?;
    let (of_node, way) = node.split_at_checked(TAG_BYTES)?;
    let id = Uuid::from_slice(id).ok()?;
    let given = keys.has_tag(OF_RUN, id.as_bytes(), of_run)
        & keys.has_tag(OF_NODE, &tagged(id, way), of_node);
    let way = String::from_utf8(way.to_vec()).ok()?;
    given.then(|| (id.to_string(), way))
}

/// Unambiguous, since all ids have the same length.
fn tagged(id: Uuid, way: &[u8]) -> Vec<u8> {
    [&id.as_bytes()[..], way].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "01900000-0000-7000-8000-000000000001";
    const OTHER: &str = "01900000-0000-7000-8000-000000000002";

    fn keys(byte: &str) -> MasterKeys {
        MasterKeys::parse(&format!("1:{}", byte.repeat(32))).unwrap()
    }

    fn token(run: &str, node: &str) -> String {
        let (run, node) = parts(&keys("ab"), run, node).unwrap();
        format!("{run}.{node}")
    }

    #[test]
    fn a_token_says_its_run_and_its_node() {
        for way in ["ask", "each[2]/call[0]/ä-1", "@error/ask"] {
            let token = token(RUN, way);
            assert_eq!(token, self::token(RUN, way), "always the same");
            let read = read(&keys("ab"), &token);
            assert_eq!(read, Some((RUN.to_owned(), way.to_owned())));
        }
    }

    #[test]
    fn an_address_begins_with_the_public_url_where_that_is_known() {
        let of = |keys: Option<MasterKeys>, base: &str| {
            let addresses = Addresses {
                keys,
                base: base.to_owned(),
                execution_id: RUN.to_owned(),
            };
            addresses.address("ask")
        };
        let whole = of(Some(keys("ab")), "https://flows.test").unwrap();
        let path = of(Some(keys("ab")), "").unwrap();
        assert_eq!(whole.url, format!("https://flows.test{}", path.url));
        assert_eq!(path.url, format!("/hooks/wait/{}", token(RUN, "ask")));
        assert!(path.url.contains(&path.secret));
        assert_eq!(of(None, ""), None);
    }

    #[test]
    fn no_token_is_made_of_others() {
        let (mine, theirs, next) = (token(RUN, "a"), token(OTHER, "a"), token(RUN, "b"));
        let (run, node) = mine.split_once('.').unwrap();
        let (of_other, node_of_other) = theirs.split_once('.').unwrap();
        let node_of_next = next.split_once('.').unwrap().1;
        assert_eq!(read(&keys("cd"), &mine), None, "another installation's");
        assert!(read(&keys("ab"), &format!("{run}.{node_of_next}")).is_some());
        for forged in [
            format!("{of_other}.{node}"),
            format!("{run}.{node_of_other}"),
            format!("{run}.{}", &node[..node.len() - 2]),
            format!("{run}."),
            format!(".{node}"),
            run.to_owned(),
            mine.replace('.', "x"),
            "x".repeat(LONGEST + 1),
            String::new(),
        ] {
            assert_eq!(read(&keys("ab"), &forged), None, "{forged}");
        }
    }
}
