//! One user writes to many who are connected.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bulkhead_chassis::SystemClock;
use bulkhead_model::Clock;
use bulkhead_msync::CONFERENCE_DOMAIN;
use bulkhead_msync::proto::Jid;
use bulkhead_msync::proto::message_body::Type;
use clap::Args;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::direct::{check_text, log_in};
use super::fanout_run::FanoutRun;
use super::receiver::receive;
use super::report::Report;
use super::socket::{Socket, lost};
use super::template::{SEQUENCE_MAX, Stamp, Template};
use super::window::{Measured, Window};
use super::{Setting, crowd, users};
use crate::Failure;

/// How long a message may take to reach everybody.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(20);

/// Members who come into the room at once: a router has a limit to what may wait.
const JOINS_AT_ONCE: usize = 1000;

#[derive(Args)]
pub(super) struct FanoutArguments {
    /// Members who are connected, beside the one who writes.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=crowd::MEMBERS_MAX))]
    members: u32,
    /// Messages that somebody may lack before the next one is sent.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    in_flight: u32,
    /// To a group instead of a room: every member's client proves what it got, and is sent what it missed.
    #[arg(long)]
    group: bool,
    /// Bytes of a message's text.
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    text: usize,
}

/// What the sender and the receivers share.
#[derive(Clone)]
struct Shared {
    run: Rc<RefCell<FanoutRun>>,
    arrived: Rc<Notify>,
}

pub(super) async fn run(setting: &Setting, arguments: &FanoutArguments) -> Result<Report, Failure> {
    check_text(arguments.text)?;
    let count = arguments.members as usize;
    let sender = users::make(&setting.server, "sender", 1).await?.remove(0);
    let members = users::make(&setting.server, "member", count).await?;
    let sending = log_in(setting, count, &sender).await?;
    let mut sockets;
    let (channel, kind) = if arguments.group {
        let group = crowd::make_group(setting, &sender, &members).await?;
        sockets = crowd::connect(setting, &members, 0).await?;
        (group, Type::Groupchat)
    } else {
        let room = crowd::make_room(setting, &sender, count).await?;
        sockets = crowd::connect(setting, &members, 0).await?;
        for (members, sockets) in members.chunks(JOINS_AT_ONCE).zip(sockets.chunks_mut(JOINS_AT_ONCE)) {
            crowd::join(setting, &room, members, sockets).await?;
        }
        (room, Type::Chatroom)
    };
    let shared =
        Shared { run: Rc::new(RefCell::new(FanoutRun::new(arguments.members))), arrived: Rc::default() };
    let queue =
        Jid { name: Some(channel.clone()), domain: Some(CONFERENCE_DOMAIN.to_owned()), ..Jid::default() };
    let mut tasks = JoinSet::new();
    for socket in sockets {
        let Shared { run, arrived } = shared.clone();
        let take = move |arrival| run.borrow_mut().take(arrival, &arrived);
        tasks.spawn_local(receive(socket, queue.clone(), take));
    }
    let ends = (sender.name.as_str(), channel.as_str());
    let template = Template::new(&setting.server.app, ends, kind, arguments.text, SystemClock.now_ms());
    tasks.spawn_local(send(shared.clone(), sending, template, arguments.in_flight));

    let measured = tokio::select! {
        measured = measure(setting, &shared.run) => measured?,
        // They end only when something is wrong.
        Some(ended) = tasks.join_next() => {
            ended.map_err(|_| Failure::refused("the generator failed"))??;
            return Err(Failure::refused("the sender has sent all that it can"));
        }
    };
    let (window, delivered) = measured;
    tasks.abort_all();

    let run = shared.run.borrow();
    let mut report = Report::new("fanout");
    report.setting("members", arguments.members);
    report.setting("in_flight", arguments.in_flight);
    report.setting("channel", if arguments.group { "group" } else { "room" });
    report.setting("text_bytes", arguments.text);
    window.describe(&mut report);
    report.rate("delivered", delivered, &window);
    report.latency("receipt", &run.receipt);
    report.latency("last_receipt", &run.last_receipt);
    report.count("repeated", run.repeated);
    report.count("notices", run.notices);
    Ok(report)
}

async fn measure(setting: &Setting, run: &RefCell<FanoutRun>) -> Result<(Measured, u64), Failure> {
    sleep(setting.warm_up).await;
    let window = Window::open(&setting.server)?;
    let before = run.borrow().delivered;
    run.borrow_mut().measuring = true;
    sleep(setting.duration).await;
    run.borrow_mut().measuring = false;
    Ok((window.close(&setting.server)?, run.borrow().delivered - before))
}

/// Sends the next message as soon as there is room for it on the way, until it is aborted.
async fn send(
    shared: Shared,
    mut socket: Socket,
    mut template: Template,
    in_flight: u32,
) -> Result<(), Failure> {
    loop {
        while shared.run.borrow().on_the_way < in_flight {
            let (sequence, intended_ns) = {
                let mut run = shared.run.borrow_mut();
                (run.send(), run.now_ns())
            };
            if sequence >= SEQUENCE_MAX {
                return Ok(());
            }
            socket.queue_whole(template.stamped(Stamp { sequence, intended_ns }));
        }
        socket.flush().await.map_err(lost)?;
        let arrived = async {
            let mut arrived = std::pin::pin!(shared.arrived.notified());
            loop {
                tokio::select! {
                    () = &mut arrived => return Ok(()),
                    filled = socket.fill() => {
                        filled.map_err(lost)?;
                        while let Some(frame) = socket.next_frame().map_err(lost)? {
                            let refused = super::wire::read(frame, |_| {}).is_none_or(|down| {
                                down.ack.is_some_and(|(_, code)| code != 0)
                            });
                            if refused {
                                return Err(Failure::refused("a message was refused"));
                            }
                        }
                        socket.flush().await.map_err(lost)?;
                    }
                }
            }
        };
        timeout(ARRIVAL_LIMIT, arrived)
            .await
            .map_err(|_| Failure::refused("a message did not reach everybody"))??;
    }
}
