//! The whole suite on Postgres.

mod suite;

const BACKEND: e2e::Backend = e2e::Backend::Postgres;
