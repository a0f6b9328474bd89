//! Making one document out of another and their difference.

use crate::change::make;
use crate::diff::{Diff, Elements};
use crate::document::{List, POSITION, assemble, in_shape, keyed, rest, weave};
use crate::{Error, document::Keyed};
use serde_json::Value;
use std::collections::HashMap;

/// `b`, out of `a` and `diff(a, b)`.
///
/// # Errors
/// [`Error::DoesNotFit`] when the diff was not made from `a` and speaks of what is not there.
pub fn apply(diff: &Diff, a: &Value) -> Result<Value, Error> {
    if !in_shape(&[a]) || replaces_lists(diff) {
        let mut whole = a.clone();
        make(&mut whole, &diff.document)?;
        return Ok(whole);
    }
    let mut rest = rest(a);
    make(&mut rest, &diff.document)?;
    let nodes = elements(&keyed(a, List::Nodes), &diff.nodes)?;
    let edges = elements(&keyed(a, List::Edges), &diff.edges)?;
    Ok(assemble(rest, nodes, edges))
}

/// A diff to or from a document that is not in shape speaks of the whole.
fn replaces_lists(diff: &Diff) -> bool {
    let of_list = |path: &str| {
        let first = path.split('/').nth(1);
        matches!(first, None | Some("nodes" | "edges"))
    };
    diff.document.iter().any(|change| of_list(&change.path))
}

fn elements(a: &Keyed<'_>, diff: &Elements) -> Result<Vec<Value>, Error> {
    let mut by_key: HashMap<&str, Value> = a
        .order
        .iter()
        .filter_map(|key| Some((key.as_str(), a.get(key)?.clone())))
        .collect();
    for gone in &diff.removed {
        by_key
            .remove(gone.id.as_str())
            .ok_or_else(|| missing(&gone.id))?;
    }
    for changed in &diff.changed {
        let element = by_key.get_mut(changed.id.as_str());
        make(
            element.ok_or_else(|| missing(&changed.id))?,
            &changed.changes,
        )?;
    }
    for moved in &diff.moved {
        let element = by_key.get_mut(moved.id.as_str());
        let members = element.and_then(Value::as_object_mut);
        members
            .ok_or_else(|| missing(&moved.id))?
            .insert(POSITION.to_owned(), moved.to.clone());
    }
    let stayed = match &diff.order {
        Some(order) => order.clone(),
        None => {
            let stayed = a
                .order
                .iter()
                .filter(|key| by_key.contains_key(key.as_str()));
            stayed.cloned().collect()
        }
    };
    let mut followers = HashMap::new();
    for new in &diff.added {
        if by_key.insert(&new.id, new.value.clone()).is_some() {
            return Err(Error::DoesNotFit(format!("{:?} is there already", new.id)));
        }
        followers.insert(new.after.clone(), new.id.clone());
    }
    let order = weave(stayed, &followers);
    if order.len() != by_key.len() {
        return Err(Error::DoesNotFit("its order is another one".to_owned()));
    }
    let listed = order.iter().map(|key| by_key.remove(key.as_str()));
    let listed: Option<Vec<Value>> = listed.collect();
    listed.ok_or_else(|| Error::DoesNotFit("its order is another one".to_owned()))
}

fn missing(id: &str) -> Error {
    Error::DoesNotFit(format!("there is no {id:?}"))
}
