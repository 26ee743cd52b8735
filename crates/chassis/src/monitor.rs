use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Readiness;
use crate::residency::Residency;

/// How often the recorder folds what histograms have gathered.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The listener for operators: `/healthz`, `/readyz`, `/metrics`, `/residency`.
pub struct Monitor {
    pub readiness: Readiness,
    pub metrics: PrometheusHandle,
    pub residency: Residency,
}

impl Monitor {
    /// Serves until `stop` is cancelled.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let Self { readiness, metrics, residency } = self;
        let ready = move || async move {
            let report = readiness.report();
            let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, Json(report))
        };
        let rendered = metrics.clone();
        let routes = Router::new()
            .route("/healthz", get(|| async { "alive\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(move || async move { rendered.render() }))
            .route("/residency", get(move || async move { Json(residency.report()) }));
        let upkeep = async {
            let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
            loop {
                ticks.tick().await;
                metrics.run_upkeep();
            }
        };
        tokio::select! {
            served = axum::serve(listener, routes) => {
                if let Err(error) = served {
                    tracing::error!(%error, "the monitor listener failed");
                }
            }
            () = upkeep => {}
            () = stop.cancelled() => {}
        }
    }
}
