//! What callers say to a store, whichever it is.

mod error;
mod query;

pub use error::Error;
pub use query::{Column, Filter, Order, Select, Ty};
