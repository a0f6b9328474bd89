//! The schema's promises, one module each, in one binary.

mod account;
mod admission;
mod budgets;
mod catalog;
mod cost;
mod engine;
mod foreign_owner;
mod metrics;
mod plans;
mod query_tracer;
mod queue;
mod runs;
mod secrets;
mod shares;
mod telemetry;
mod tenancy;
mod traces;
mod travel;
mod triggers;
mod webhooks;
mod writes;
