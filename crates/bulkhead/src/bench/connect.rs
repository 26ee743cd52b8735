//! Logins, each on a connection of its own.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use clap::Args;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Setting;
use super::report::{Report, histogram};
use super::socket::{Socket, lost};
use super::users::{self, BenchUser};
use super::window::Window;
use crate::Failure;

#[derive(Args)]
pub(super) struct ConnectArguments {
    /// Users who log in, in turn.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    users: u32,
    /// Logins at one time.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1000))]
    at_once: u32,
}

struct Run {
    users: Vec<BenchUser>,
    /// Number of the next login.
    next: Cell<usize>,
    logins: Cell<u64>,
    measuring: Cell<bool>,
    stopped: Cell<bool>,
    /// From the first packet to the answer, in microseconds.
    latency: RefCell<Histogram<u64>>,
}

pub(super) async fn run(setting: &Setting, arguments: &ConnectArguments) -> Result<Report, Failure> {
    let run = Rc::new(Run {
        users: users::make(&setting.server, "user", arguments.users as usize).await?,
        next: Cell::new(0),
        logins: Cell::new(0),
        measuring: Cell::new(false),
        stopped: Cell::new(false),
        latency: RefCell::new(histogram()),
    });
    let connector = &setting.server.connector;
    let mut tasks = JoinSet::new();
    for _ in 0..arguments.at_once {
        let (run, connector, app) = (Rc::clone(&run), connector.clone(), setting.server.app.clone());
        tasks.spawn_local(async move {
            while !run.stopped.get() {
                let index = run.next.replace(run.next.get() + 1);
                let began = Instant::now();
                // Only few are open at one time, whatever their number.
                let stream = connector.connect(0).await.map_err(lost)?;
                let user = &run.users[index % run.users.len()];
                let socket = Socket::log_in(stream, &app, user).await?;
                run.logins.set(run.logins.get() + 1);
                if run.measuring.get() {
                    run.latency.borrow_mut().saturating_record(began.elapsed().as_micros() as u64);
                }
                drop(socket);
            }
            Ok::<_, Failure>(())
        });
    }
    sleep(setting.warm_up).await;
    run.measuring.set(true);
    let (window, before) = (Window::open(&setting.server)?, run.logins.get());
    sleep(setting.duration).await;
    let (measured, after) = (window.close(&setting.server)?, run.logins.get());
    run.stopped.set(true);
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|_| Failure::refused("the generator failed"))??;
    }

    let mut report = Report::new("connect");
    report.setting("users", arguments.users);
    report.setting("at_once", arguments.at_once);
    measured.describe(&mut report);
    report.rate("logins", after - before, &measured);
    report.latency("login", &run.latency.borrow());
    Ok(report)
}
