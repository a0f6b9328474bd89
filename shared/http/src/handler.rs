//! Handlers are async functions whose arguments carry proof: each argument is checked before the body runs.

use crate::openapi::Describe;
use crate::problem::Problem;
use crate::reply::{IntoReply, Response};
use futures::future::LocalBoxFuture;
use std::future::Future;
use std::rc::Rc;

/// Something a handler can ask for as an argument. `C` is the request's context.
pub trait FromCx<C>: Sized + 'static {
    /// Takes the value from the request or says what is wrong with it.
    fn from_cx(cx: Rc<C>) -> impl Future<Output = Result<Self, Problem>>;
    /// Adds the argument to the operation's OpenAPI description.
    fn describe(_: &mut Describe) {}
}

/// An async function that can serve a route; implemented for functions of up to six arguments.
pub trait Handler<C, Args>: Clone + 'static {
    /// Extracts the arguments in order, stops at the first that fails, then runs the body.
    fn call(&self, cx: Rc<C>) -> LocalBoxFuture<'static, Result<Response, Problem>>;
    /// Describes arguments and answer.
    fn describe(op: &mut Describe);
}

macro_rules! handlers {
    ($($arg:ident)*) => {
        impl<C, Func, Fut, Out, $($arg),*> Handler<C, ($($arg,)*)> for Func
        where
            C: 'static,
            Func: Fn($($arg),*) -> Fut + Clone + 'static,
            Fut: Future<Output = Result<Out, Problem>> + 'static,
            Out: IntoReply + 'static,
            $($arg: FromCx<C>,)*
        {
            #[allow(non_snake_case, unused_variables)]
            fn call(&self, cx: Rc<C>) -> LocalBoxFuture<'static, Result<Response, Problem>> {
                let body = self.clone();
                Box::pin(async move {
                    $(let $arg = $arg::from_cx(cx.clone()).await?;)*
                    body($($arg),*).await.map(IntoReply::into_reply)
                })
            }

            #[allow(unused_variables)]
            fn describe(op: &mut Describe) {
                $($arg::describe(op);)*
                Out::describe(op);
            }
        }
    };
}

handlers!();
handlers!(A1);
handlers!(A1 A2);
handlers!(A1 A2 A3);
handlers!(A1 A2 A3 A4);
handlers!(A1 A2 A3 A4 A5);
handlers!(A1 A2 A3 A4 A5 A6);
