//! Versions of a workflow document, pure: what differs between two of them, and how two people's edits become one.
//!
//! - [`diff`] says it in the document's own words: nodes and edges added, removed, moved, changed.
//! - [`apply`] makes `b` out of `a` and `diff(a, b)`, exactly (the order of object members is not part of JSON).
//! - [`merge`] brings two descendants of one base together and lists what a person must decide.
//!
//! Nodes and edges are known by their ids, not by their places. An edge without an id is known by what it connects. A
//! document that is not in shape (repeated or missing ids, no lists) is still compared and merged exactly, only with
//! less to say about it.

mod apply;
mod change;
mod diff;
mod document;
mod merge;
mod three_way;

pub use apply::apply;
pub use change::{Change, ChangeOp};
pub use diff::{Changed, Diff, Elements, Moved, Placed, Removed, diff};
pub use merge::merge;
pub use three_way::{Conflict, ConflictKind, Merged};

/// Why a diff cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The diff was made from another document than the one that it is applied to.
    #[error("the diff does not fit the document: {0}")]
    DoesNotFit(String),
}
