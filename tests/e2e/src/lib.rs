//! What the end-to-end tests stand on: the application on one of its storage backends, tenants, and requests.
//!
//! Without configuration everything is started here. With `NODEAI_E2E_BASE_URL` the suite runs against an application
//! that is already up (such as stock Spin's `spin up`), whose `nodeai_jwt_secret` is `NODEAI_E2E_JWT_SECRET`.

pub mod app;
pub mod check;
pub mod client;
pub mod cluster;
pub mod database;
pub mod filestores;
pub mod host;
pub mod mcp;
pub mod mortal;
pub mod oidc;
pub mod packages;
pub mod process;
pub mod project;
pub mod proxy;
pub mod standardwebhooks;
pub mod token;

pub use app::{App, Backend};
pub use check::{assert_problem, assert_status};
pub use client::{Reply, Tenant};
