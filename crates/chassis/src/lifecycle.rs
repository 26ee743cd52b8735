//! From the first signal to the end: drain, or give up.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Watches SIGINT and SIGTERM: the first cancels the token, and the process drains; the second ends the process at once
/// with 128 plus the signal's number. Must be called within a tokio runtime.
pub fn stop_on_signals() -> io::Result<CancellationToken> {
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    tokio::spawn(watch(interrupt, terminate, stop.clone()));
    Ok(stop)
}

async fn watch(mut interrupt: Signal, mut terminate: Signal, stop: CancellationToken) {
    loop {
        let kind = tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
        };
        if stop.is_cancelled() {
            std::process::exit(128 + kind.as_raw_value());
        }
        tracing::info!("stopping; a second signal ends at once");
        stop.cancel();
    }
}

/// Runs the drain for at most `limit`; answers whether it finished.
pub async fn drain_within(limit: Duration, drain: impl Future<Output = ()>) -> bool {
    let finished = tokio::time::timeout(limit, drain).await.is_ok();
    if !finished {
        tracing::error!(limit_ms = limit.as_millis() as u64, "the drain did not finish in time");
    }
    finished
}
