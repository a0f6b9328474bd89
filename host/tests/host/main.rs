//! The host from outside: the built binary, on a component whose every path is a test of something.
mod database;
mod limits;
mod serving;
mod support;
