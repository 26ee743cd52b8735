//! Spans of the message path. They exist only for messages that a collector is to see: whoever starts the process's
//! telemetry enables them one by one, and without a collector none is, which costs a comparison.
//!
//! They say where the time of a message goes and never what it says or whose it is: names of operations and counts.

use tracing::{Level, Span};

/// The target of all of these spans, and of nothing else.
pub const TARGET: &str = "bulkhead::path";

/// The name of the first span of a message. Only a span of this name begins a trace.
pub const ROOT: &str = "message";

/// Begins the trace of a message, if it is one of those that are traced.
pub fn begin() -> Span {
    tracing::trace_span!(target: TARGET, parent: None, ROOT)
}

/// The span of the message that is being worked on; a disabled span for a message that is not traced.
pub fn current() -> Span {
    if !tracing::span_enabled!(target: TARGET, Level::TRACE, "current") {
        return Span::none();
    }
    let span = Span::current();
    if span.metadata().is_some_and(|metadata| metadata.target() == TARGET) { span } else { Span::none() }
}

/// The router's part of a message, from its queue to its answer, within [`current`].
pub fn sequence() -> Span {
    let current = current();
    if current.is_disabled() {
        current
    } else {
        tracing::trace_span!(target: TARGET, parent: &current, "sequence")
    }
}

/// One batch of `messages`, as part of the traced message `of`.
pub fn batch(of: &Span, messages: usize) -> Span {
    if of.is_disabled() {
        Span::none()
    } else {
        tracing::trace_span!(target: TARGET, parent: of, "batch", messages)
    }
}

/// A call that came over a connection for a traced message; its parent is set by whoever reads it from the call.
pub fn serve(call: &str) -> Span {
    tracing::trace_span!(target: TARGET, parent: None, "serve", otel.name = call, otel.kind = "server")
}
