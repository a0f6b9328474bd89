//! The edge: NodeAI's ports on a Spin host, and the entry point of a function.
//!
//! The only library that names `spin-sdk`. A function's whole entry point is `nodeai_edge::serve!(routes);`.

pub mod entry;
pub mod env;
pub mod http_client;
mod pieces;
pub mod postgres;

pub use spin_sdk;

/// Makes the component's entry point from the function that returns its routes (what `#[http_service]` does, without
/// each function having to depend on `spin-sdk` itself).
#[macro_export]
macro_rules! serve {
    ($routes:ident) => {
        #[cfg(target_family = "wasm")]
        mod entry_point {
            use $crate::spin_sdk::wasip3;

            ::std::thread_local! {
                static APP: ::std::rc::Rc<$crate::entry::App> = $crate::entry::app(super::$routes());
            }

            struct Component;
            wasip3::http::service::export!(Component);

            impl wasip3::exports::http::handler::Guest for Component {
                async fn handle(
                    request: wasip3::http::types::Request,
                ) -> ::std::result::Result<wasip3::http::types::Response, wasip3::http::types::ErrorCode> {
                    let app = APP.with(::std::clone::Clone::clone);
                    $crate::entry::handle_host(app, request).await
                }
            }
        }
    };
}
