//! The schema's promises, one module each, in one binary.

mod account;
mod admission;
mod anomalies;
mod budgets;
mod catalog;
mod cost;
mod engine;
mod evaluations;
mod files;
mod foreign_owner;
mod metrics;
mod plans;
mod plans_telemetry;
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
