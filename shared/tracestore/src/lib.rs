//! Traces as areas read them: one with its spans ([`load`]), a page of a search ([`search`]), the summary of one
//! ([`model`]).

pub mod columns;
pub mod load;
pub mod model;
pub mod search;
