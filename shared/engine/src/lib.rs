//! The workflow engine: documents, node kinds, templates and a pure state machine over the
//! run log. No clock, randomness, store or HTTP: a driver performs the commands and reports
//! facts.

mod budget;
mod decide;
mod document;
mod egress;
mod evaluate;
mod fault;
mod filters;
mod graph;
mod log;
mod memory;
mod nodes;
mod plain;
mod plan;
mod policy;
mod redact;
mod references;
mod schema;
mod scope;
mod settings;
mod spans;
mod step;
mod template;
mod validate;

pub use budget::RunBudget;
pub use document::{DEEPEST, Definition, Edge, LONGEST_STRING, MOST_EDGES, MOST_NODES, Node};
pub use egress::{CustomHosts, Egress, customs_of, egress, egress_with, host_rule};
pub use evaluate::{Evaluated, evaluate_expression, evaluate_node, evaluate_template};
pub use fault::Fault;
pub use log::{
    AttemptResult, CallMeta, CancelReason, Event, Labels, MOST_DEPTH, MOST_STEPS, NodeError, RULES,
    Reused, RunError, RunStarted, Shortcut, Spend, Status, Wait, WaitKind, What, unsettled_of,
};
pub use memory::{Keep, KeptTurn, LONGEST_SAID, Memory, MemoryScope, Session, Turn, turns_of};
pub use nodeai_guard::{covers, host_matches};
pub use nodes::{
    AreaCall, AreaReply, CodeCall, Effect, FileContent, FileRef, HttpBatch, HttpCall, HttpReply,
    LlmCall, LogLine, MeasureCall, Model, Next, Outcome as NodeOutcome, Paged, Port, Spec, SqlCall,
    Talk, WaitCall, WorkflowRef, catalogue, custom,
};
pub use plan::{Compiled, Record};
pub use policy::{EgressPolicy, Manifest, Policy};
pub use redact::{BLANK, Redactor};
pub use schema::check_form;
pub use scope::Surroundings;
pub use settings::DEFAULT_TIMEOUT_MS;
pub use spans::{Totals, spans_of, totals_of};
pub use step::{Command, Due, Illegal, Outcome, Run, Step};
pub use validate::{calls, compile, compile_with, validate};
