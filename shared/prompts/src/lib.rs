//! Prompt templates: what they are, how they are rendered, what changed between two of them, and one prompt as a run that
//! asks several models side by side.

mod call;
mod changes;
mod template;
mod trial;

pub use call::Call;
pub use changes::{Change, changes};
/// What models cost, as the cost engine knows it.
pub use nodeai_llm::Prices;
pub use template::{Fault, Message, Rendered, Role, Settings, Template};
pub use trial::{Candidate, Estimate, Trial};
