//! Fine-tuning without I/O.
//!
//! - [`dataset`] reads examples in the chat form and says what is wrong with each line, how many tokens there are, what they cost.
//! - [`calls`] makes examples of calls of models that were traced.
//! - [`redact`] takes out what looks like a secret, an e-mail address or a telephone number.
//! - [`provider`] makes the requests of OpenAI, Azure, Together, Mistral and Fireworks and reads their answers.

pub mod calls;
pub mod dataset;
pub mod multipart;
pub mod provider;
pub mod redact;
