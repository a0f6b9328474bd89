//! Users' code: a component of its own, for which there is no way out. It has no hosts that it may call, no variables and no
//! database; other components reach it by service chaining, the world does not. Each request has an instance of its own, since
//! it serves `wasi:http@0.2`.

#[cfg(target_family = "wasm")]
mod entry;

/// Most bytes of a request.
pub const MOST_REQUEST: usize = 16 << 20;
/// Most bytes that the interpreter may have in use.
pub const MOST_MEMORY: usize = 128 << 20;
