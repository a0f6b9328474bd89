//! The whole suite on Supabase's REST interface.

mod suite;

const BACKEND: e2e::Backend = e2e::Backend::Supabase;
