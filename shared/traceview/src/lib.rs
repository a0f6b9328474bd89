//! Traces for people, without I/O: the search language ([`filter`]), and views of one trace's spans: waterfall and
//! critical path ([`waterfall`]), graph ([`graph`]), comparison with another trace ([`diff`]).

pub mod diff;
pub mod filter;
pub mod graph;
pub mod span;
pub mod waterfall;

pub use span::Span;
