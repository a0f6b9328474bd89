//! The Postgres adapter: SQL text from the port's queries, and errors by SQLSTATE.

mod errors;
mod render;

pub(crate) use errors::from_pg;
pub(crate) use render::{
    act, admission, array_literal, claim, function, like_pattern, restore, select,
};
