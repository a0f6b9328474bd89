//! What every function's HTTP surface is made of: routes with typed handlers, inputs that are checked before the
//! handler runs, RFC 9457 problems, cursor pages, ETags, and an OpenAPI description taken from the same types.
//!
//! The crate is pure: it knows neither a host nor a store. Handlers are generic over the request context `C`.

pub mod etag;
pub mod handler;
pub mod input;
pub mod money;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod reply;
pub mod routes;

pub use handler::{FromCx, Handler};
pub use input::{Check, Checker};
pub use problem::{FieldError, Problem};
pub use reply::{Body, IntoReply, Json, Response};
pub use routes::{Matched, Router, Routes};
