//! What was spent: sums, their explanation, other prices for the same use, bills, advice.

pub mod advice;
pub mod breakdown;
pub mod chargeback;
pub mod explain;
pub mod reprice;
pub mod sums;
pub mod window;
