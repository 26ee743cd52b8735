//! Many users come into a room at the same time.

use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::timeout;

use super::report::{Report, histogram};
use super::window::Window;
use super::{Setting, crowd, users};
use crate::Failure;

/// How long a round may take.
const ROUND_LIMIT: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(super) struct JoinArguments {
    /// Users who come at once.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=crowd::MEMBERS_MAX))]
    members: u32,
    /// Rooms that are filled, one after the other.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

pub(super) async fn run(setting: &Setting, arguments: &JoinArguments) -> Result<Report, Failure> {
    let members = arguments.members as usize;
    let owner = users::make(&setting.server, "owner", 1).await?.remove(0);
    let mut all_joined = histogram();
    let window = Window::open(&setting.server)?;
    for _ in 0..arguments.rounds {
        let users = users::make(&setting.server, "member", members).await?;
        let mut sockets = crowd::connect(setting, &users, 0).await?;
        let room = crowd::make_room(setting, &owner, members).await?;
        let began = Instant::now();
        timeout(ROUND_LIMIT, crowd::join(setting, &room, &users, &mut sockets))
            .await
            .map_err(|_| Failure::refused("not everybody was let in in time"))??;
        all_joined.saturating_record(began.elapsed().as_micros() as u64);
    }
    let measured = window.close(&setting.server)?;

    let mut report = Report::new("join");
    report.setting("members", arguments.members);
    report.setting("rounds", arguments.rounds);
    // With what it took to make the users and to log them in.
    measured.describe(&mut report);
    report.latency("all_joined", &all_joined);
    Ok(report)
}
