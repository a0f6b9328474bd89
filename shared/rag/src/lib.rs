//! Retrieval without I/O.
//!
//! - [`metrics`]: precision, recall, average precision, nDCG, reciprocal rank, hit rate, exactly as trec_eval.
//! - [`stats`]: bootstrap intervals, paired comparison of two systems, Holm's correction.
//! - [`fusion`]: rankings of several retrievers made one; results that are near each other thinned out.
//! - [`optimise`]: the search for a better setting, and whether it really is better.

pub mod fusion;
pub mod metrics;
pub mod optimise;
pub mod stats;
