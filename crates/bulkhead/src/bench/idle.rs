//! What a connection costs the server while nobody writes.

use std::time::{Duration, Instant};

use bulkhead_client::frames;
use clap::Args;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant as Deadline, sleep, sleep_until};

use super::process;
use super::report::Report;
use super::socket::{Socket, lost};
use super::window::Window;
use super::{Setting, crowd, users};
use crate::Failure;

/// How often a client shows that it is there (msync.md §8).
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(30);

/// Files that this process and the server need for other things than connections.
const OTHER_FILES: u64 = 200;

/// Connections that are opened and closed before the memory is measured for the first time, so that what the server
/// makes once is not counted as part of a connection.
const WARM_UP_CONNECTIONS: usize = 200;

#[derive(Args)]
pub(super) struct IdleArguments {
    /// Connections, each of a user of its own.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
}

pub(super) async fn run(setting: &Setting, arguments: &IdleArguments) -> Result<Report, Failure> {
    let most = process::files_max().saturating_sub(OTHER_FILES);
    if u64::from(arguments.connections) > most {
        return Err(Failure::usage(format!(
            "a process may hold {most} connections here; raise the limit of open files (ulimit -n) for more"
        )));
    }
    let count = arguments.connections as usize;
    let users = users::make(&setting.server, "user", count).await?;
    let warm = crowd::connect(setting, &users[..WARM_UP_CONNECTIONS.min(count)], 0).await?;
    drop(warm);
    sleep(setting.warm_up).await;

    let before = setting.server.resident_bytes()?;
    let began = Instant::now();
    let sockets = crowd::connect(setting, &users, WARM_UP_CONNECTIONS).await?;
    let opened_in = began.elapsed();
    let mut random = StdRng::seed_from_u64(setting.seed);
    let mut kept = JoinSet::new();
    for socket in sockets {
        let first = KEEP_ALIVE_EVERY.mul_f64(random.random::<f64>());
        kept.spawn_local(keep(socket, first));
    }
    let window = Window::open(&setting.server)?;
    tokio::select! {
        () = sleep(setting.duration) => {}
        Some(ended) = kept.join_next() => {
            return Err(match ended {
                Ok(failure) => failure,
                Err(_) => Failure::refused("the generator failed"),
            });
        }
    }
    let measured = window.close(&setting.server)?;
    let after = setting.server.resident_bytes()?;

    let mut report = Report::new("idle");
    report.setting("connections", arguments.connections);
    report.setting("keep_alive_every_s", KEEP_ALIVE_EVERY.as_secs());
    report.number("opened_in_s", opened_in.as_secs_f64());
    measured.describe(&mut report);
    report.number("resident_before_mb", before as f64 / 1e6);
    report.number("resident_after_mb", after as f64 / 1e6);
    report.number("kb_per_connection", after.saturating_sub(before) as f64 / 1e3 / count as f64);
    Ok(report)
}

/// Sends keep-alives and answers pings; ends only with the connection.
async fn keep(mut socket: Socket, first: Duration) -> Failure {
    let unread = frames::unread();
    let mut next = Deadline::now() + first;
    loop {
        let step = async {
            tokio::select! {
                filled = socket.fill() => filled?,
                () = sleep_until(next) => {
                    socket.queue(&unread);
                    next += KEEP_ALIVE_EVERY;
                }
            }
            while socket.next_frame()?.is_some() {}
            socket.flush().await
        };
        if let Err(error) = step.await {
            return lost(error);
        }
    }
}
