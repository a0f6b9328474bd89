//! The Supabase adapter: PostgREST requests from the port's queries, and errors by code.

mod bearer;
mod errors;
mod render;
mod token;

pub(crate) use bearer::Bearer;
pub(crate) use errors::read_answer;
pub(crate) use render::{Endpoint, function, select};
