//! The schema's promises, one module each, in one binary.

mod admission;
