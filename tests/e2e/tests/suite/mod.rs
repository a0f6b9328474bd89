//! The suite: compiled once per storage backend (`crate::BACKEND`).

use e2e::App;
use e2e::app::Setup;
use std::sync::OnceLock;

mod account;
mod alert_mail;
mod alerts;
mod api_keys;
mod archives;
mod area_nodes;
mod bad_input;
mod budgets;
mod code;
mod connector_examples;
mod connectors;
mod costs;
mod credentials;
mod data_nodes;
mod deployed_runs;
mod deployments;
mod documents;
mod egress;
mod error_workflows;
mod evaluation;
mod evaluation_command;
mod evaluation_jobs;
mod evaluation_retrieval;
mod evaluation_rules;
mod experiments;
mod files;
mod finetune;
mod flow;
mod foresight;
mod hooks;
mod hostile;
mod idempotency;
mod knowledge;
mod knowledge_access;
mod knowledge_answers;
mod knowledge_ingest;
mod knowledge_meaning;
mod library;
mod management;
mod matrix;
mod memory;
mod models;
mod nodes;
mod oauth;
mod otlp;
mod outside;
mod playground;
mod profiles;
mod query_tracer;
mod queue;
mod resumed_streams;
mod runs;
mod schedules;
mod sdks;
mod secrets;
mod shares;
mod slos;
mod standard_webhooks;
mod streams;
mod studies;
mod synthetic_questions;
mod system;
mod tenants;
mod tools;
mod tools_calls;
mod tools_mcp;
mod trace_shares;
mod trace_views;
mod traces;
mod travel;
mod versions;
mod wait_addresses;
mod webhooks;

/// The application that the tests of this backend share; each test brings tenants of its own.
pub fn app() -> &'static App {
    static APP: OnceLock<App> = OnceLock::new();
    APP.get_or_init(|| Setup::on(crate::BACKEND).start())
}
