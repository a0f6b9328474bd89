//! The Supabase adapter: PostgREST requests from the port's queries, and errors by code.

mod errors;
mod render;
mod token;

pub(crate) use errors::read_answer;
pub(crate) use render::{Endpoint, function, select};
pub(crate) use token::{LIFETIME_S, mint};
