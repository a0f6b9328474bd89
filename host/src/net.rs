//! Whom a component may talk to: Spin's `allowed_outbound_hosts`, and which addresses are never reached.
pub mod allowed;
pub mod vet;
