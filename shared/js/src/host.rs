//! What the interpreter asks of its host: a clock that stands still, jobs in order, and no compiling of further source.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::task::{Poll, Waker};

use boa_engine::context::HostHooks;
use boa_engine::context::time::{Clock, JsInstant};
use boa_engine::job::{Job, JobExecutor, NativeAsyncJob};
use boa_engine::realm::Realm;
use boa_engine::{Context, EngineError, JsError, JsNativeError, JsResult, JsString};

/// Largest buffer, in bytes.
const MOST_BUFFER: u64 = 64 << 20;

/// Rules of this host.
pub(crate) struct Hooks;

impl HostHooks for Hooks {
    /// `eval` and `new Function`: code that nobody has seen is not run.
    fn ensure_can_compile_strings(
        &self,
        _: Realm,
        _: &[JsString],
        _: &JsString,
        _: bool,
        _: &mut Context,
    ) -> JsResult<()> {
        let error = JsNativeError::eval();
        Err(error.with_message("code cannot be made from text").into())
    }

    /// UTC, whatever the machine's zone.
    fn local_timezone_offset_seconds(&self, _: i64) -> i32 {
        0
    }

    fn max_buffer_size(&self, _: &mut Context) -> u64 {
        MOST_BUFFER
    }
}

/// A clock that shows the same for as long as the job takes, in ms since the Unix epoch.
pub(crate) struct Frozen(pub(crate) u64);

impl Clock for Frozen {
    fn now(&self) -> JsInstant {
        JsInstant::new(self.0 / 1_000, (self.0 % 1_000) as u32 * 1_000_000)
    }

    fn system_time_millis(&self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

/// Promises' jobs, one after the other, until there is none.
#[derive(Default)]
pub(crate) struct Jobs(RefCell<VecDeque<Job>>);

impl JobExecutor for Jobs {
    fn enqueue_job(self: Rc<Self>, job: Job, _: &mut Context) {
        self.0.borrow_mut().push_back(job);
    }

    fn run_jobs(self: Rc<Self>, context: &mut Context) -> JsResult<()> {
        loop {
            let next = self.0.borrow_mut().pop_front();
            match next {
                None => return Ok(()),
                Some(Job::PromiseJob(job)) => drop(job.call(context)?),
                Some(Job::GenericJob(job)) => drop(job.call(context)?),
                Some(Job::AsyncJob(job)) => at_once(job, context)?,
                // Timers and the like: nothing here makes them.
                Some(_) => {}
            }
        }
    }
}

/// A job that waits for the host, such as `import`: what the host does not have at once, it does not have.
fn at_once(job: NativeAsyncJob, context: &mut Context) -> JsResult<()> {
    let context = RefCell::new(context);
    let mut work = Box::pin(job.call(&context));
    let mut polled = std::task::Context::from_waker(Waker::noop());
    match work.as_mut().poll(&mut polled) {
        Poll::Ready(result) => result.map(drop),
        Poll::Pending => Ok(()),
    }
}

/// The error of a promise that nothing can settle any more.
pub(crate) fn never_settles() -> JsError {
    let message = "what the code waits for never comes: nothing is left that could settle it";
    JsNativeError::error().with_message(message).into()
}

/// The error of code that has no steps left, for where another was caught on its way.
pub(crate) fn out_of_steps() -> JsError {
    JsError::from(EngineError::NoInstructionsRemain)
}
