//! What components are given beyond WASI: Postgres, outbound HTTP, key-value stores and variables.
pub mod http;
pub mod kv;
#[expect(
    clippy::result_large_err,
    reason = "the interface's own error type is that large"
)]
pub mod pg;
pub mod variables;

/// The generated traits of the Spin interfaces.
pub mod bindings {
    #![allow(missing_docs, clippy::all)]
    wasmtime::component::bindgen!({
        path: [
            "../wit/deps/spin-postgres@4.2.0",
            "../wit/deps/spin-variables@3.0.0",
            "../wit/deps/spin-key-value@3.0.0",
        ],
        inline: "
            package nodeai:host;
            world host {
                import spin:postgres/postgres@4.2.0;
                import spin:variables/variables@3.0.0;
                import spin:key-value/key-value@3.0.0;
            }
        ",
        world: "nodeai:host/host",
        imports: { default: async | trappable },
        with: {
            "spin:postgres/postgres.connection": crate::capabilities::pg::Connection,
            "spin:postgres/postgres.connection-builder": crate::capabilities::pg::ConnectionBuilder,
            "spin:key-value/key-value.store": crate::capabilities::kv::Store,
        },
    });
}

/// Gives the Spin traits their view of the store.
#[derive(Debug)]
pub struct Spin;

impl wasmtime::component::HasData for Spin {
    type Data<'a> = &'a mut crate::runtime::Ctx;
}
