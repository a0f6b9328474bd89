//! Evaluations without I/O.
//!
//! - [`items`] reads the items of a dataset from JSON Lines and CSV.
//! - [`retrieval`] scores what retrievers found, and compares two of them.
//! - [`subject`] is what a request gives to be scored, and its rules.
//! - [`sweep`] tries fusions of stored candidates, which costs nothing.
//! - [`experiment`] is an experiment with the search settings of a knowledge base: its space, its lists of candidates, its outcome.
//! - [`study`] is a study: parameters of a workflow tried on a dataset, and judged; [`trials`] tells what a search has come to.
//! - [`metric`] names what an evaluation measures; [`answer`] is what it measures; [`plain`] measures it, or [`judged`] has it judged.
//! - [`job`] is one step of an evaluation; [`summary`] what it comes to; [`agreement`] how far its judge agrees with people.
//! - [`online`] makes questions and answers of sampled traces; [`synthesis`] has questions made of chunks.
//! - [`state`] is where a job stands; [`run`] how one of its runs has ended.

pub mod agreement;
pub mod answer;
pub mod experiment;
pub mod items;
pub mod job;
pub mod judged;
pub mod metric;
pub mod online;
pub mod plain;
pub mod retrieval;
pub mod run;
pub mod state;
pub mod study;
pub mod subject;
pub mod summary;
pub mod sweep;
pub mod synthesis;
pub mod trials;
