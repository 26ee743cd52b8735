use std::future::poll_fn;
use std::task::{Context, Poll};

use bulkhead_model::{ErrorKind, Region};
use futures_util::future::BoxFuture;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::ERROR_KIND_HEADER;
use crate::connect::Lanes;
use crate::trace::{TRACEPARENT, traceparent_header};

/// The metadata key that carries the region's name on every request and every answer.
pub const REGION_HEADER: &str = "bulkhead-region";

const REGION: HeaderName = HeaderName::from_static(REGION_HEADER);

/// Refuses requests that are not of its region, and marks every answer with it.
#[derive(Clone, Copy, Debug)]
pub struct RegionGuard {
    region: Region,
}

impl RegionGuard {
    /// A guard for the services of `region`.
    pub fn new(region: Region) -> Self {
        Self { region }
    }
}

impl<S> Layer<S> for RegionGuard {
    type Service = GuardedService<S>;

    fn layer(&self, inner: S) -> GuardedService<S> {
        GuardedService { inner, region: self.region }
    }
}

/// A service behind a [`RegionGuard`].
#[derive(Clone, Debug)]
pub struct GuardedService<S> {
    inner: S,
    region: Region,
}

impl<S, RequestBody, AnswerBody> Service<Request<RequestBody>> for GuardedService<S>
where
    S: Service<Request<RequestBody>, Response = Response<AnswerBody>>,
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
        let own = self.region;
        if is_of(own, request.headers()) {
            let answer = self.inner.call(request);
            return Box::pin(async move {
                let mut answer = answer.await?;
                mark(own, answer.headers_mut());
                Ok(answer)
            });
        }
        tracing::warn!(
            region = own.name(),
            claimed = claimed(request.headers()),
            call = request.uri().path(),
            "refused a request that does not belong to this region"
        );
        metrics::counter!("bulkhead_rpc_region_refusals_total").increment(1);
        let mut refusal = refusal("the request does not belong to this region").into_http();
        mark(own, refusal.headers_mut());
        Box::pin(async move { Ok(refusal) })
    }
}

/// A channel that marks requests with its region and takes answers of no other.
#[derive(Clone, Debug)]
pub(crate) struct RegionChannel {
    lanes: Lanes,
    region: Region,
}

impl RegionChannel {
    pub(crate) fn new(lanes: Lanes, region: Region) -> Self {
        Self { lanes, region }
    }

    /// Makes sure that there is a connection. `Unavailable`.
    pub(crate) async fn reach(&self) -> bulkhead_model::Result<()> {
        let reached = self.lanes.channel().await;
        reached.map(|_| ()).map_err(|_| ErrorKind::Unavailable.with("the service cannot be reached"))
    }

    /// Dials the instances that no connection is open to.
    pub(crate) async fn look_around(&self) {
        self.lanes.look_around().await;
    }
}

impl Service<Request<tonic::body::Body>> for RegionChannel {
    type Response = Response<tonic::body::Body>;
    type Error = tonic::transport::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Which lane a call takes is decided, and waited for, in the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<tonic::body::Body>) -> Self::Future {
        let (own, lanes) = (self.region, self.lanes.clone());
        mark(own, request.headers_mut());
        if let Some(traceparent) = traceparent_header() {
            request.headers_mut().insert(TRACEPARENT, traceparent);
        }
        Box::pin(async move {
            let Ok(mut channel) = lanes.channel().await else {
                return Ok(Status::unavailable("the service cannot be reached").into_http());
            };
            poll_fn(|context| channel.poll_ready(context)).await?;
            let answer = channel.call(request).await?;
            if is_of(own, answer.headers()) {
                return Ok(answer);
            }
            tracing::error!(
                region = own.name(),
                claimed = claimed(answer.headers()),
                "an endpoint answers for another region; its answer is dropped"
            );
            Ok(refusal("the service does not belong to this region").into_http())
        })
    }
}

fn mark(region: Region, headers: &mut HeaderMap) {
    headers.insert(REGION, HeaderValue::from_static(region.name()));
}

fn is_of(region: Region, headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(REGION).iter();
    values.next().is_some_and(|value| value == region.name()) && values.next().is_none()
}

/// What the other side says of itself, for the log; never an arbitrary text of the other side.
fn claimed(headers: &HeaderMap) -> &'static str {
    let value = headers.get(REGION).and_then(|value| value.to_str().ok());
    match value.map(str::parse::<Region>) {
        Some(Ok(region)) => region.name(),
        Some(Err(_)) => "unknown",
        None => "none",
    }
}

/// To the services that call, a peer of another region is a peer that is not there.
fn refusal(message: &'static str) -> Status {
    let mut status = Status::new(Code::FailedPrecondition, message);
    status
        .metadata_mut()
        .insert(ERROR_KIND_HEADER, MetadataValue::from_static(ErrorKind::Unavailable.name()));
    status
}
