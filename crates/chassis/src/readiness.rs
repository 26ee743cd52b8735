//! Whether the process takes work, and whether what it depends on does.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bulkhead_model::{ErrorKind, Result};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often a dependency is looked at, whoever asks and however often.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// A dependency that does not answer within this time is away.
const LOOK_LIMIT: Duration = Duration::from_millis(1500);

/// Whether the process takes work: not before it listens, no longer once it drains, and not while something that it
/// depends on is away. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    serving: AtomicBool,
    dependencies: Mutex<BTreeMap<&'static str, DependencyState>>,
}

/// How a dependency was found when it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyState {
    /// Not looked at yet.
    Unknown,
    Ok,
    /// Cannot be reached, or does not answer in time.
    Away,
    /// Answers that it does not take this process or its calls.
    Refuses,
}

/// What `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadinessReport {
    pub ready: bool,
    /// The process itself listens and does not drain.
    pub serving: bool,
    pub dependencies: BTreeMap<&'static str, DependencyState>,
}

impl Readiness {
    /// Says whether the process itself takes work.
    pub fn set(&self, serving: bool) {
        self.0.serving.store(serving, Ordering::Release);
    }

    /// Looks at a dependency from now on, for as long as this or a clone of it lives. `look` asks the least that shows
    /// that it works. Must be called within a tokio runtime; a name that is watched already is not watched twice.
    pub fn depends_on<F>(&self, name: &'static str, look: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = Result<()>> + Send,
    {
        {
            let mut dependencies = self.0.dependencies.lock();
            if dependencies.contains_key(name) {
                return;
            }
            dependencies.insert(name, DependencyState::Unknown);
        }
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let up = metrics::gauge!("bulkhead_dependency_up", "dependency" => name);
            let mut ticks = interval(LOOK_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let state =
                    state_of(timeout(LOOK_LIMIT, look()).await.unwrap_or(Err(ErrorKind::Timeout.into())));
                let Some(inner) = inner.upgrade() else { return };
                let before = inner.dependencies.lock().insert(name, state);
                if before != Some(state) {
                    tracing::info!(dependency = name, ?state, "a dependency changed");
                }
                up.set(if state == DependencyState::Ok { 1.0 } else { 0.0 });
            }
        });
    }

    /// What is known now; asks nobody.
    pub fn report(&self) -> ReadinessReport {
        let serving = self.0.serving.load(Ordering::Acquire);
        let dependencies = self.0.dependencies.lock().clone();
        let ready = serving && dependencies.values().all(|state| *state == DependencyState::Ok);
        ReadinessReport { ready, serving, dependencies }
    }
}

fn state_of(outcome: Result<()>) -> DependencyState {
    match outcome {
        Ok(()) => DependencyState::Ok,
        Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
            DependencyState::Away
        }
        Err(_) => DependencyState::Refuses,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn until(readiness: &Readiness, name: &str, state: DependencyState) -> ReadinessReport {
        loop {
            let report = readiness.report();
            if report.dependencies[name] == state {
                return report;
            }
            tokio::time::advance(LOOK_INTERVAL).await;
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_is_ready_while_it_serves_and_all_that_it_depends_on_is_there() {
        let readiness = Readiness::default();
        assert!(!readiness.report().ready);
        readiness.set(true);
        assert!(readiness.report().ready);

        let away = Arc::new(AtomicBool::new(true));
        let is_away = away.clone();
        readiness.depends_on("storage", move || {
            let outcome =
                if is_away.load(Ordering::SeqCst) { Err(ErrorKind::Unavailable.into()) } else { Ok(()) };
            async { outcome }
        });
        assert!(!readiness.report().ready, "what was not looked at is not there");
        assert!(!until(&readiness, "storage", DependencyState::Away).await.ready);
        away.store(false, Ordering::SeqCst);
        assert!(until(&readiness, "storage", DependencyState::Ok).await.ready);
        readiness.set(false);
        let report = readiness.report();
        assert!(!report.ready && !report.serving, "it drains");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dependency_that_hangs_is_away_and_one_that_says_no_refuses() {
        let readiness = Readiness::default();
        readiness.set(true);
        readiness.depends_on("database", std::future::pending);
        readiness.depends_on("auth", || async { Err(ErrorKind::PermissionDenied.into()) });
        until(&readiness, "database", DependencyState::Away).await;
        let report = until(&readiness, "auth", DependencyState::Refuses).await;
        let json = serde_json::to_value(&report).unwrap();
        let dependencies = serde_json::json!({ "auth": "refuses", "database": "away" });
        assert_eq!(
            json,
            serde_json::json!({ "ready": false, "serving": true, "dependencies": dependencies })
        );
    }
}
