//! The model catalogue: what each model reads, writes and can do, until when it is served, and which models fit a need.
//!
//! - [`catalogue`] is the built-in data, made by `tools/make_models.py` from the packages litellm and genai-prices (MIT
//!   licences); its `as_of` says of which day it is. What models cost is in `nodeai-pricing`.
//! - [`Need`] is what a caller asks of a model; [`fitting`] gives those that fit, the cheapest first.
//! - [`PROVIDERS`] are the providers whose models can be called by reference, with their addresses.

mod catalogue;
mod need;
mod providers;

pub use catalogue::{Capability, Catalogue, Kind, Modality, Model, catalogue};
pub use need::{Fit, Need, Quote, fitting};
pub use providers::{PROVIDERS, Protocol, Provider, provider};
