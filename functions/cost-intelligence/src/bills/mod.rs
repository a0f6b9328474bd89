//! Bills: exports of providers held against what was counted here.

pub mod create;
pub mod model;
pub mod read;
