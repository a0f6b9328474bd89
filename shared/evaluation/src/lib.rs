//! Evaluations without I/O.
//!
//! - [`items`] reads the items of a dataset from JSON Lines and CSV.
//! - [`retrieval`] scores what retrievers found, and compares two of them.
//! - [`subject`] is what a request gives to be scored, and its rules.
//! - [`sweep`] tries fusions of stored candidates, which costs nothing.
//! - [`experiment`] is an experiment with the search settings of a knowledge base: its space, its lists of candidates, its outcome.
//! - [`metric`] names what an evaluation measures; [`answer`] is what it measures; [`plain`] measures it, or [`judged`] has it judged.
//! - [`job`] is one step of an evaluation; [`summary`] what it comes to; [`agreement`] how far its judge agrees with people.

pub mod agreement;
pub mod answer;
pub mod experiment;
pub mod items;
pub mod job;
pub mod judged;
pub mod metric;
pub mod plain;
pub mod retrieval;
pub mod subject;
pub mod summary;
pub mod sweep;
