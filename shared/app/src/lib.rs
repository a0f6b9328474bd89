//! What every area's handlers stand on.
//!
//! - [`Cx`] is one request; [`serve`](serve::serve) dispatches it and answers whatever happens.
//! - [`Caller`] is an admitted caller with a scope: the only way to the store.
//! - [`Drainer`] is the operator's schedule, or a caller for the own organisation: who may work on what is due.
//! - [`Visitor`] is nobody in particular, and may call what is exposed to everybody.
//! - [`Valid`], [`Query`], [`PathId`], [`IfMatch`] are inputs that are checked before a handler runs.
//! - [`Write`] is a write of one row with idempotency, version check, audit row and stored answer; [`Command`] one of
//!   a named SQL function.
//! - [`vault`] seals and opens with the master keys.
//! - [`spans`] buffers the request's spans and flushes them after the response.
//!
//! Pure: the host is behind `nodeai-ports`.

mod answer;
pub mod app;
pub mod body;
pub mod caller;
pub mod clock;
pub mod cx;
pub mod drainer;
pub mod errors;
pub mod flags;
pub mod inputs;
pub mod reply;
pub mod serve;
pub mod settings;
pub mod spans;
pub mod vault;
pub mod visitor;
pub mod work;
pub mod write;

pub use app::App;
pub use caller::{Caller, Scope};
pub use cx::Cx;
pub use drainer::{DrainRequest, Drainer};
pub use errors::store_problem;
pub use inputs::{IfMatch, PathId, Query, RequiredIfMatch, Valid};
pub use reply::{Created, Done, Reply};
pub use visitor::Visitor;
pub use work::{Look, Work, Worked};
pub use write::{Audit, Command, Op, Write};

/// The routes of an area.
pub type Routes = nodeai_http::Routes<Cx>;
