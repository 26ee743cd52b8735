//! Traces across connections: the W3C `traceparent` of a traced message goes with its calls and publishes.
//! (<https://www.w3.org/TR/trace-context/>, version 00.)

use std::task::{Context as TaskContext, Poll};

use bulkhead_api::path;
use futures_util::future::BoxFuture;
use http::header::{HeaderName, HeaderValue};
use http::{Request, Response};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tower::{Layer, Service};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The traceparent of the message that is being worked on; `None` when it is not traced.
pub(crate) fn traceparent() -> Option<String> {
    let current = path::current();
    if current.is_disabled() {
        return None;
    }
    let context = current.context();
    let span = context.span().span_context().clone();
    span.is_sampled().then(|| format!("00-{}-{}-01", span.trace_id(), span.span_id()))
}

/// The same as a header.
pub(crate) fn traceparent_header() -> Option<HeaderValue> {
    HeaderValue::try_from(traceparent()?).ok()
}

/// A span for what came with a traceparent; disabled when it is none of a traced message, or nobody collects here.
pub(crate) fn serve(call: &str, traceparent: &str) -> Span {
    let Some(parent) = read(traceparent) else { return Span::none() };
    let span = path::serve(call);
    if !span.is_disabled() {
        // Fails only for a span that has begun, which this one has not.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    span
}

fn read(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version != "00" || trace.len() != 32 || span.len() != 16 || flags.len() != 2 || parts.next().is_some()
    {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    (context.is_valid() && context.is_sampled()).then_some(context)
}

/// Puts calls of traced messages into spans of their own. Stands behind what judges callers, so that the name of a span
/// is the name of a call and never an arbitrary text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TraceCalls;

impl<S> Layer<S> for TraceCalls {
    type Service = TracedService<S>;

    fn layer(&self, inner: S) -> TracedService<S> {
        TracedService { inner }
    }
}

/// A service behind [`TraceCalls`].
#[derive(Clone, Debug)]
pub(crate) struct TracedService<S> {
    inner: S,
}

impl<S, RequestBody, AnswerBody> Service<Request<RequestBody>> for TracedService<S>
where
    S: Service<Request<RequestBody>, Response = Response<AnswerBody>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<AnswerBody>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let traceparent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
        match traceparent.map(|traceparent| serve(request.uri().path(), traceparent)) {
            Some(span) if !span.is_disabled() => Box::pin(self.inner.call(request).instrument(span)),
            _ => Box::pin(self.inner.call(request)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_traceparent_of_a_traced_message_is_read_and_nothing_else() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = read(good).unwrap();
        assert_eq!(context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.span_id().to_string(), "b7ad6b7169203331");
        for wrong in [
            "",
            "00",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-00",
            "00-0af7651916cd43dd8448eb211c80319cff-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c8031zz-b7ad6b7169203331-01",
        ] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_message_that_is_not_traced_has_no_traceparent() {
        assert_eq!(traceparent(), None);
    }
}
