//! Direct messages between pairs of users: at a fixed rate, or as many as the server takes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bulkhead_chassis::SystemClock;
use bulkhead_model::Clock;
use bulkhead_model::limits::MESSAGE_BYTES_MAX;
use bulkhead_msync::USER_DOMAIN;
use bulkhead_msync::proto::Jid;
use bulkhead_msync::proto::message_body::Type;
use clap::Args;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Setting;
use super::direct_sender::{Pace, Sender};
use super::direct_stats::Stats;
use super::receiver::receive;
use super::report::Report;
use super::socket::{Socket, lost};
use super::template::{SEQUENCE_MAX, STAMP_BYTES, Template};
use super::users::{self, BenchUser};
use super::window::Window;
use crate::Failure;

/// How long messages that are on their way may take to arrive after the last was sent.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// Longest text: a content at the limit of a message, less what is around the text in it.
const TEXT_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 64;

#[derive(Args)]
pub(super) struct DirectArguments {
    /// Senders, each with a receiver of its own.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pairs: u32,
    /// Messages per second of all senders together, with random gaps between them.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 5000)]
    rate: u32,
    /// As many messages as the server takes, with --window of each sender on their way, instead of a fixed rate.
    #[arg(long)]
    max: bool,
    /// Messages of one sender that may wait for their acknowledgement with --max.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    window: u32,
    /// Bytes of a message's text.
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    text: usize,
}

/// What the tasks of a run share.
pub(super) struct Run {
    pub(super) stats: RefCell<Stats>,
    /// No sender sends any more.
    pub(super) stopped: Cell<bool>,
}

impl Run {
    fn begin() -> Rc<Self> {
        Rc::new(Self { stats: RefCell::new(Stats::new(Instant::now())), stopped: Cell::new(false) })
    }

    fn acknowledged_and_delivered(&self) -> (u64, u64) {
        let stats = self.stats.borrow();
        (stats.acknowledged, stats.delivered)
    }
}

pub(super) async fn run(setting: &Setting, arguments: &DirectArguments) -> Result<Report, Failure> {
    check_text(arguments.text)?;
    let pairs = arguments.pairs as usize;
    let senders = users::make(&setting.server, "sender", pairs).await?;
    let receivers = users::make(&setting.server, "receiver", pairs).await?;
    let run = Run::begin();

    let mut receiving = JoinSet::new();
    for (index, (receiver, sender)) in receivers.iter().zip(&senders).enumerate() {
        let socket = log_in(setting, index, receiver).await?;
        let queue =
            Jid { name: Some(sender.name.clone()), domain: Some(USER_DOMAIN.to_owned()), ..Jid::default() };
        let run = Rc::clone(&run);
        receiving.spawn_local(receive(socket, queue, move |arrival| run.stats.borrow_mut().take(arrival)));
    }
    let pace = match arguments.max {
        true => Pace::Closed { window: arguments.window, messages: SEQUENCE_MAX },
        false => {
            Pace::Open { mean_gap: Duration::from_secs_f64(pairs as f64 / f64::from(arguments.rate.max(1))) }
        }
    };
    let mut sending = start_senders(setting, &run, (&senders, &receivers), arguments.text, pace).await?;

    sleep(setting.warm_up).await;
    run.stats.borrow_mut().start_measuring();
    let (window, before) = (Window::open(&setting.server)?, run.acknowledged_and_delivered());
    sleep(setting.duration).await;
    run.stats.borrow_mut().stop_measuring();
    let (measured, after) = (window.close(&setting.server)?, run.acknowledged_and_delivered());
    run.stopped.set(true);
    finish(&mut sending).await?;
    drain(&run).await;
    receiving.abort_all();
    while let Some(ended) = receiving.join_next().await {
        // Only an aborted receiver is as it should be: the others lost their connection.
        if let Ok(result) = ended {
            result?;
        }
    }

    let stats = run.stats.borrow();
    let mut report = Report::new("direct");
    report.setting("pairs", arguments.pairs);
    report.setting("text_bytes", arguments.text);
    match arguments.max {
        true => report.setting("window", arguments.window),
        false => report.setting("rate_per_s", arguments.rate),
    }
    measured.describe(&mut report);
    report.rate("acknowledged", after.0 - before.0, &measured);
    report.rate("delivered", after.1 - before.1, &measured);
    report.latency("receipt", &stats.receipt);
    report.latency("ack", &stats.ack);
    report.count("refused", stats.refused);
    report.count("lost", stats.acknowledged.saturating_sub(stats.delivered));
    report.count("repeated", stats.repeated);
    report.count("notices", stats.notices);
    Ok(report)
}

/// Sends `messages` of each sender to its receiver, who is not there, as fast as the server takes them.
pub(super) async fn fill(
    setting: &Setting,
    senders: &[BenchUser],
    receivers: &[BenchUser],
    messages: u32,
    text_bytes: usize,
) -> Result<(), Failure> {
    const WINDOW: u32 = 64;
    let run = Run::begin();
    let pace = Pace::Closed { window: WINDOW, messages };
    let mut sending = start_senders(setting, &run, (senders, receivers), text_bytes, pace).await?;
    finish(&mut sending).await?;
    match run.stats.borrow().refused {
        0 => Ok(()),
        refused => Err(Failure::refused(format!("{refused} messages were refused"))),
    }
}

/// `usage` for a text that cannot be sent or has no room for its stamp.
pub(super) fn check_text(bytes: usize) -> Result<(), Failure> {
    if (STAMP_BYTES..=TEXT_BYTES_MAX).contains(&bytes) {
        return Ok(());
    }
    Err(Failure::usage(format!("--text is {STAMP_BYTES} to {TEXT_BYTES_MAX} bytes")))
}

async fn start_senders(
    setting: &Setting,
    run: &Rc<Run>,
    (senders, receivers): (&[BenchUser], &[BenchUser]),
    text_bytes: usize,
    pace: Pace,
) -> Result<JoinSet<Result<(), Failure>>, Failure> {
    let now_ms = SystemClock.now_ms();
    // All are logged in before the first one sends.
    let mut ready = Vec::new();
    for (index, (sender, receiver)) in senders.iter().zip(receivers).enumerate() {
        let socket = log_in(setting, senders.len() + index, sender).await?;
        let ends = (sender.name.as_str(), receiver.name.as_str());
        let template = Template::new(&setting.server.app, ends, Type::Chat, text_bytes, now_ms);
        ready.push((socket, template, setting.seed.wrapping_add(index as u64)));
    }
    let mut sending = JoinSet::new();
    for (socket, template, seed) in ready {
        sending.spawn_local(Sender::new(Rc::clone(run), socket, template, pace, seed).run());
    }
    Ok(sending)
}

pub(super) async fn log_in(setting: &Setting, index: usize, user: &BenchUser) -> Result<Socket, Failure> {
    let stream = setting.server.connector.connect(index).await.map_err(lost)?;
    Socket::log_in(stream, &setting.server.app, user).await
}

async fn finish(tasks: &mut JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|_| Failure::refused("the generator failed"))??;
    }
    Ok(())
}

/// Waits until all that was acknowledged has arrived, but not for ever.
async fn drain(run: &Run) {
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    let all_arrived = async {
        loop {
            let (acknowledged, delivered) = run.acknowledged_and_delivered();
            if delivered >= acknowledged {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    };
    let _ = timeout(DRAIN_LIMIT, all_arrived).await;
}
