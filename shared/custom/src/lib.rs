//! The custom nodes of an application: the variable `nodeai_custom_nodes` names them, their components describe them.

use bytes::Bytes;
use futures::future::join_all;
use nodeai_app::{Cx, errors::log};
use nodeai_edge::http_client;
use nodeai_engine::custom::{self, Entry};
use serde_json::Value;

/// The variable: names, with commas between them.
const VARIABLE: &str = "nodeai_custom_nodes";

/// The names of the custom nodes that there are.
pub async fn names(cx: &Cx) -> Vec<String> {
    let listed = cx.env().get(VARIABLE).await.unwrap_or_default();
    read(&listed)
}

/// A list's names, in its order; what is no name is left out and logged.
fn read(listed: &str) -> Vec<String> {
    let parts = listed.split(',').map(str::trim);
    let parts = parts.filter(|part| !part.is_empty());
    let named = parts.filter(|part| {
        let holds = custom::name(&format!("{}{part}", custom::PREFIX)).is_some();
        if !holds {
            log(VARIABLE, &format!("{part:?} is no name of a custom node"));
        }
        holds
    });
    named.map(str::to_owned).collect()
}

/// The catalogue's entries, in the order of the names. A node that cannot be described now is left out and logged.
pub async fn catalogue(cx: &Cx) -> Vec<Entry> {
    let names = names(cx).await;
    let found = join_all(names.iter().map(|name| describe(name))).await;
    found.into_iter().flatten().collect()
}

/// One entry; none where there is no such node, or it does not answer.
pub async fn entry(cx: &Cx, name: &str) -> Option<Entry> {
    let known = names(cx).await.iter().any(|known| known == name);
    match known {
        true => describe(name).await,
        false => None,
    }
}

async fn describe(name: &str) -> Option<Entry> {
    let request = http::Request::get(custom::url(name)).body(Bytes::new());
    let answer = match http_client::send_buffered(request.ok()?).await {
        Ok(answer) => answer,
        Err(error) => {
            log(name, &error.to_string());
            return None;
        }
    };
    let described: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let entry = custom::described(name, &described);
    if entry.is_none() {
        log(name, "the custom node does not describe itself");
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_lists_names() {
        assert_eq!(read(" slugify, weather ,"), ["slugify", "weather"]);
        assert_eq!(read("Bad,ok,a/b"), ["ok"]);
        assert!(read("").is_empty());
    }
}
