//! The port to the platform's own areas.

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use nodeai_engine::NodeError;

/// What lets a run into the platform's own areas.
pub trait AreaPort: std::fmt::Debug {
    /// A key with which the run acts as its owner there, for as long as it is at work.
    ///
    /// # Errors
    /// When there is none to be had.
    fn key(&self) -> LocalBoxFuture<'_, Result<String, NodeError>>;
}

/// No areas.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAreas;

impl AreaPort for NoAreas {
    fn key(&self) -> LocalBoxFuture<'_, Result<String, NodeError>> {
        let message = "the platform's areas cannot be reached from here";
        async move { Err(NodeError::new("area_unavailable", message, false)) }.boxed_local()
    }
}
