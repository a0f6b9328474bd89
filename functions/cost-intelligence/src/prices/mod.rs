//! Prices: the catalogue, and an organisation's own.

pub mod catalogue;
pub mod overrides;
