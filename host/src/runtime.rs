//! Runs components: the engine, what each instance's store holds, and the call into a component.
pub mod call;
mod compose;
pub mod engine;
pub mod instance;
pub mod limits;
pub mod meter;
pub mod output;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, anyhow};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{ProxyHandler, ProxyPre};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::capabilities::{self, http::Outbound, kv::Stores, pg::pool::Pools};
use crate::manifest::Manifest;
use crate::net::allowed::AllowedHosts;
use crate::settings::Variables;
use crate::spans::SpanFiles;
use engine::plain;
use instance::Handler;
use limits::Limits;
use meter::Pulse;

/// What an instance's store holds.
pub struct Ctx {
    /// Handles that the guest owns.
    pub table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: capabilities::http::Hooks,
    limiter: limits::MemoryLimiter,
    /// The component that runs here.
    pub component: Arc<ComponentInfo>,
    /// What all instances share.
    pub shared: Arc<Shared>,
    pulse: Arc<Pulse>,
    /// Whether it serves one request alone, so that it may end when nobody waits for that.
    disposable: bool,
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Ctx {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.outbound,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// A component's name and permissions.
#[derive(Debug)]
pub struct ComponentInfo {
    /// Its id in the manifest.
    pub id: String,
    /// Its variables, rendered.
    pub variables: HashMap<String, String>,
    /// Whom it may call.
    pub allowed_hosts: AllowedHosts,
    /// Key-value stores that it may open.
    pub key_value_stores: HashSet<String>,
    /// Its environment variables.
    pub environment: Vec<(String, String)>,
    /// Requests that one instance serves at a time.
    pub concurrent_requests: usize,
}

/// What all instances of all components share.
pub struct Shared {
    /// Postgres pools, by URL.
    pub pools: Pools,
    /// Key-value stores.
    pub stores: Stores,
    /// The client for outbound HTTP.
    pub outbound: Outbound,
    /// Where unflushed spans go.
    pub spans: SpanFiles,
    /// Limits on requests.
    pub limits: Limits,
    components: OnceLock<Vec<Served>>,
    ids: HashMap<String, usize>,
}

struct Served {
    info: Arc<ComponentInfo>,
    handler: ProxyHandler<Handler>,
}

/// The pieces of [`Shared`] that a caller provides.
pub struct Resources {
    /// Postgres pools.
    pub pools: Pools,
    /// Key-value stores.
    pub stores: Stores,
    /// The client for outbound HTTP.
    pub outbound: Outbound,
    /// Span files.
    pub spans: SpanFiles,
    /// Limits on requests.
    pub limits: Limits,
}

impl Shared {
    /// Index of the component `id`, as [`call::call`] takes it.
    pub fn component_index(&self, id: &str) -> Option<usize> {
        self.ids.get(id).copied()
    }

    /// The name of a component.
    pub fn component_id(&self, index: usize) -> &str {
        self.served(index)
            .map_or("?", |served| served.info.id.as_str())
    }

    fn served(&self, index: usize) -> Option<&Served> {
        self.components.get().and_then(|all| all.get(index))
    }
}

/// The manifest's components as machine code, in its order.
pub struct Compiled {
    engine: Engine,
    components: Vec<Component>,
}

/// Compiles every component of the manifest, or takes it from `cache`.
///
/// # Errors
/// When an artefact is missing or no component.
pub fn compile(
    manifest: &Manifest,
    root: &Path,
    cache: &Path,
    limits: &Limits,
) -> Result<Compiled> {
    let engine = engine::build(limits)?;
    let components = manifest
        .component
        .iter()
        .map(|(id, component)| {
            compose::compose(root, id, component)
                .and_then(|bytes| engine::load_component(&engine, id, &bytes, cache))
                .with_context(|| {
                    let path = manifest.source_path(root, component);
                    format!(
                        "the component {id:?} cannot be loaded from {}",
                        path.display()
                    )
                })
        })
        .collect::<Result<_>>()?;
    Ok(Compiled { engine, components })
}

/// Makes the compiled components ready to be called.
///
/// # Errors
/// When one imports what this host has not, or the manifest's permissions cannot be read.
pub fn load(
    manifest: &Manifest,
    compiled: Compiled,
    variables: &Variables,
    resources: Resources,
) -> Result<Arc<Shared>> {
    let Compiled { engine, components } = compiled;
    engine::start_epochs(&engine);
    let linker = link(&engine)?;
    let ids = manifest.component.keys().enumerate();
    let shared = Arc::new(Shared {
        pools: resources.pools,
        stores: resources.stores,
        outbound: resources.outbound,
        spans: resources.spans,
        limits: resources.limits,
        components: OnceLock::new(),
        ids: ids.map(|(index, id)| (id.clone(), index)).collect(),
    });
    let mut served = Vec::with_capacity(components.len());
    for ((id, component), code) in manifest.component.iter().zip(components) {
        let info = Arc::new(describe(id, component, variables)?);
        let pre = prepare(&linker, &code)
            .with_context(|| format!("the component {id:?} does not fit this host"))?;
        let handler = Handler::new(engine.clone(), pre, info.clone(), shared.clone());
        served.push(Served {
            info,
            handler: ProxyHandler::new(handler),
        });
    }
    shared
        .components
        .set(served)
        .map_err(|_| anyhow!("components were loaded twice"))?;
    Ok(shared)
}

fn describe(
    id: &str,
    component: &crate::manifest::Component,
    variables: &Variables,
) -> Result<ComponentInfo> {
    let hosts = component
        .allowed_outbound_hosts
        .iter()
        .map(|entry| variables.render(entry))
        .collect::<Result<Vec<_>>>();
    Ok(ComponentInfo {
        id: id.to_owned(),
        variables: variables.for_component(id, component)?,
        allowed_hosts: AllowedHosts::parse(hosts?).with_context(|| format!("component {id:?}"))?,
        key_value_stores: component.key_value_stores.iter().cloned().collect(),
        environment: component
            .environment
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        concurrent_requests: component.concurrent_requests(),
    })
}

fn link(engine: &Engine) -> Result<Linker<Ctx>> {
    let mut linker = Linker::new(engine);
    // Rust's standard library imports WASI 0.2 also in a component that serves 0.3.
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(plain)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker).map_err(plain)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).map_err(plain)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker).map_err(plain)?;
    capabilities::bindings::Host_::add_to_linker::<Ctx, capabilities::Spin>(&mut linker, |ctx| ctx)
        .map_err(plain)?;
    Ok(linker)
}

/// A component serves `wasi:http` 0.3 or 0.2; the newer one is tried first.
fn prepare(linker: &Linker<Ctx>, component: &Component) -> Result<ProxyPre<Ctx>> {
    let pre = linker.instantiate_pre(component).map_err(plain)?;
    if let Ok(service) = wasmtime_wasi_http::p3::bindings::ServicePre::new(pre.clone()) {
        return Ok(ProxyPre::P3(service));
    }
    let proxy = wasmtime_wasi_http::p2::bindings::ProxyPre::new(pre).map_err(plain)?;
    Ok(ProxyPre::P2(proxy))
}
