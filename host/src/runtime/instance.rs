//! An instance's life: made when a request finds none free, reused, ended by age, idleness or a limit.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use wasmtime::component::{GuestTaskId, ResourceTable};
use wasmtime::{Engine, Result, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpView};

use super::limits::{Limits, MemoryLimiter};
use super::meter::{Meter, Pulse, Slot};
use super::output::Output;
use super::{ComponentInfo, Ctx, Shared, engine};
use crate::capabilities::http::Hooks;
use crate::log;

/// What a caller hands along with a request.
#[derive(Debug, Clone)]
pub struct RequestInfo {
    /// Its hold on the instance.
    pub slot: Slot,
    /// Its notes.
    pub meter: Arc<Meter>,
}

/// Makes instances of one component.
pub struct Handler {
    engine: Engine,
    pre: ProxyPre<Ctx>,
    component: Arc<ComponentInfo>,
    shared: Arc<Shared>,
}

impl Handler {
    /// A maker for `component`.
    pub fn new(
        engine: Engine,
        pre: ProxyPre<Ctx>,
        component: Arc<ComponentInfo>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            engine,
            pre,
            component,
            shared,
        }
    }

    /// A 0.2 component gets a fresh instance per request, as in Spin.
    fn is_disposable(&self) -> bool {
        matches!(self.pre, ProxyPre::P2(_))
    }

    fn store(&self, pulse: &Arc<Pulse>) -> Store<Ctx> {
        let output = Output::new(self.component.clone(), self.shared.clone());
        let mut wasi = WasiCtx::builder();
        wasi.envs(&self.component.environment)
            .stdout(output.clone())
            .stderr(output);
        let mut store = Store::new(
            &self.engine,
            Ctx {
                table: ResourceTable::new(),
                wasi: wasi.build(),
                http: WasiHttpCtx::new(),
                outbound: Hooks::new(self.component.clone(), self.shared.clone()),
                limiter: MemoryLimiter::new(self.shared.limits.memory, pulse.clone()),
                component: self.component.clone(),
                shared: self.shared.clone(),
                pulse: pulse.clone(),
                disposable: self.is_disposable(),
            },
        );
        store.limiter(|ctx| &mut ctx.limiter);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| on_epoch(context.data()));
        store
    }
}

/// Yields to other work; ends a guest that has computed for the request limit without any output, or for nobody.
fn on_epoch(ctx: &Ctx) -> Result<UpdateDeadline> {
    if ctx.disposable && ctx.pulse.abandoned() {
        return Err(wasmtime::format_err!("nobody waits for its response"));
    }
    let most = ctx.shared.limits.request.as_millis() / engine::EPOCH.as_millis();
    if u128::from(ctx.pulse.count_busy_tick()) > most {
        ctx.pulse.note_timed_out();
        return Err(wasmtime::format_err!("the CPU time limit is used up"));
    }
    Ok(UpdateDeadline::Yield(1))
}

impl HandlerState for Handler {
    type StoreData = Ctx;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> Result<Instance<Ctx, Expiration, Worker>> {
        let pulse = Arc::new(Pulse::default());
        let mut store = self.store(&pulse);
        let proxy = self.pre.instantiate_async(&mut store).await?;
        let reuse = if self.is_disposable() {
            1
        } else {
            self.shared.limits.reuse
        };
        let limits = self.shared.limits.clone();
        Ok(Instance {
            store,
            proxy,
            view: WasiHttpView::http,
            expiration: Expiration::new(limits.clone(), pulse.clone()),
            state: Worker {
                reuse,
                limits,
                pulse,
                component: self.component.clone(),
            },
        })
    }
}

/// Ends an instance from outside, also one that never yields to its own tasks.
pub struct Expiration {
    limits: Limits,
    pulse: Arc<Pulse>,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Expiration {
    fn new(limits: Limits, pulse: Arc<Pulse>) -> Self {
        let sleep = Box::pin(tokio::time::sleep(limits.stream));
        Self {
            limits,
            pulse,
            sleep,
        }
    }
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        self.pulse.register(context.waker());
        let allowed = match status {
            WorkerStatus::Idle => self.limits.idle_of(self.pulse.memory()),
            WorkerStatus::Requests => self.limits.request,
            WorkerStatus::PostReturn if self.pulse.expired() => return Poll::Ready(()),
            WorkerStatus::PostReturn => self.limits.stream,
        };
        let deadline = tokio::time::Instant::from_std(start + allowed);
        if deadline != self.sleep.deadline() {
            self.sleep.as_mut().reset(deadline);
        }
        let over = self.sleep.as_mut().poll(context);
        if over.is_ready() && status != WorkerStatus::Idle {
            self.pulse.note_timed_out();
        }
        over
    }
}

/// Decides which requests an instance takes.
pub struct Worker {
    reuse: usize,
    limits: Limits,
    pulse: Arc<Pulse>,
    component: Arc<ComponentInfo>,
}

impl WorkerState for Worker {
    type StoreData = Ctx;
    type RequestData = RequestInfo;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.reuse {
            ShouldAccept::Never
        } else if concurrent.max(self.pulse.active()) >= self.component.concurrent_requests {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _store: StoreContextMut<'_, Ctx>,
        request: RequestInfo,
        _task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        self.pulse.begin(&request.slot, request.meter);
        let pulse = self.pulse.clone();
        let limit = self.limits.request;
        Box::pin(async move {
            tokio::time::sleep(limit).await;
            pulse.note_timed_out();
        })
    }

    fn drop(&self, store: Store<Ctx>, outcome: Result<()>) {
        if let Err(error) = outcome {
            // Noted before the guest's writers go, so that a cut body does not look like a whole one.
            self.pulse.note_failed();
            if !log::is_stopping() {
                let cause = error.root_cause();
                log::component_error(&self.component.id, &format!("an instance ended: {cause}"));
            }
        }
        drop(store);
    }
}
