//! Which router knows the sessions of a gateway.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::Process;

/// How long a gateway may take to say it.
const LIMIT: Duration = Duration::from_secs(30);

/// What a gateway writes into its log when it has found its router; the router's address follows.
const WORDS: &str = "this gateway's sessions are with the router at ";

/// The address of the router that this gateway has chosen last.
pub(super) fn home_of(gateway: &mut Process) -> Result<String> {
    let start = Instant::now();
    loop {
        let log = gateway.log();
        if let Some((_, after)) = log.rsplit_once(WORDS) {
            let url = after.split(|c: char| c.is_whitespace() || c == '\u{1b}').next().unwrap_or_default();
            return Ok(url.to_owned());
        }
        if gateway.has_ended() || start.elapsed() > LIMIT {
            bail!("a gateway has not found its router: {log}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
