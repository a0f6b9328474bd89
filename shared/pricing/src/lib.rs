//! The cost engine. Tokens are counted in buckets that share none, prices are exact integers with a history, and a cost is
//! rounded once: to whole pico-USD, half up, at the end of a request.
//!
//! The catalogue is data made by `tools/make_catalogue.py` from the package genai-prices (MIT licence); its `as_of` says of
//! which day it is. `tests/oracle.rs` compares with that package to the pico-dollar.

pub mod advice;
mod book;
mod civil;
pub mod explain;
mod number;
mod overrides;
mod price;
pub mod reconcile;
mod reference;
mod tokens;

pub use book::{Book, Entry, Price, Row, TierRow, Usd, catalogue};
pub use civil::{MICROS_PER_DAY, date_of_day, day_of_date, day_of_us};
pub use number::{parse_usd, usd};
pub use overrides::{Override, Overrides};
pub use price::{Parts, Priced, Terms, Unpriced, is_usual_tier, rounded};
pub use reference::{normal_provider, reference_of, without_date};
pub use tokens::{Bucket, Inclusive, Tokens};
