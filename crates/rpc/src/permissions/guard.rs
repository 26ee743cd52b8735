use std::task::{Context, Poll};

use bulkhead_model::ErrorKind;
use bulkhead_store::Table;
use futures_util::future::BoxFuture;
use http::{Extensions, Request, Response};
use tonic::Status;
use tower::{Layer, Service as TowerService};

use super::{Access, CALLS, may_call, may_touch};
use crate::identity::{Caller, Service};
use crate::status_from_error;

/// Refuses calls that their caller may not make, before anything of the request is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallGuard;

impl<S> Layer<S> for CallGuard {
    type Service = CallGuarded<S>;

    fn layer(&self, inner: S) -> CallGuarded<S> {
        CallGuarded { inner }
    }
}

/// A service behind a [`CallGuard`].
#[derive(Clone, Debug)]
pub(crate) struct CallGuarded<S> {
    inner: S,
}

impl<S, RequestBody, AnswerBody> TowerService<Request<RequestBody>> for CallGuarded<S>
where
    S: TowerService<Request<RequestBody>, Response = Response<AnswerBody>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    AnswerBody: Default + Send + 'static,
{
    type Response = Response<AnswerBody>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        match judge(request.extensions(), request.uri().path()) {
            Ok(()) => Box::pin(self.inner.call(request)),
            Err(status) => Box::pin(async move { Ok(status.into_http()) }),
        }
    }
}

fn judge(extensions: &Extensions, path: &str) -> Result<(), Box<Status>> {
    match extensions.get::<Caller>() {
        Some(Caller::Loopback) => Ok(()),
        Some(Caller::Certified(name)) if may_call(name.service, path) => Ok(()),
        Some(Caller::Certified(name)) => {
            // The path comes from outside; only a known one is told.
            let known = CALLS.iter().find(|rule| rule.call == path).map_or("unknown", |rule| rule.call);
            Err(Box::new(denied(Some(name.service), known)))
        }
        None => Err(Box::new(denied(None, "unknown"))),
    }
}

/// Whether the caller of a storage call may touch rows of the table.
pub(crate) fn check_table(
    caller: Option<Caller>,
    table: &'static Table,
    access: Access,
) -> Result<(), Status> {
    match caller {
        Some(Caller::Loopback) => Ok(()),
        Some(Caller::Certified(name)) if may_touch(name.service, table, access) => Ok(()),
        Some(Caller::Certified(name)) => Err(denied(Some(name.service), table.name)),
        None => Err(denied(None, table.name)),
    }
}

fn denied(caller: Option<Service>, what: &'static str) -> Status {
    let caller = caller.map_or("unknown", Service::name);
    tracing::error!(caller, what, "refused a call that this service may not make");
    metrics::counter!("bulkhead_rpc_calls_denied_total", "caller" => caller, "what" => what).increment(1);
    status_from_error(&ErrorKind::PermissionDenied.with("this service may not make this call"))
}
