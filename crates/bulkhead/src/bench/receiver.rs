//! One receiver of messages.

use bulkhead_client::frames;
use bulkhead_msync::proto::Jid;

use super::socket::{Socket, lost};
use super::template::Stamp;
use super::wire::{self, Down};
use crate::Failure;

/// What a receiver is sent.
#[derive(Clone, Copy)]
pub(super) enum Arrival {
    Message(Stamp),
    /// A message for the second time or behind a later one.
    Repeated,
    /// There is something to be pulled.
    Notice,
}

/// Where a pull of the queue stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pull {
    Idle,
    Running,
    /// A notice came while it ran.
    RunAgain,
}

/// Takes what is pushed and pulls what is announced, until it is aborted. `queue` is by whom or where one sender's messages
/// are sent.
pub(super) async fn receive(
    mut socket: Socket,
    queue: Jid,
    mut take: impl FnMut(Arrival),
) -> Result<(), Failure> {
    let mut last_sequence = 0;
    let mut pull = Pull::Idle;
    loop {
        socket.fill().await.map_err(lost)?;
        while let Some(frame) = socket.next_frame().map_err(lost)? {
            let down = wire::read(frame, |stamp| {
                if stamp.sequence > last_sequence {
                    last_sequence = stamp.sequence;
                    take(Arrival::Message(stamp));
                } else {
                    take(Arrival::Repeated);
                }
            });
            let down = down.ok_or_else(|| Failure::refused("a frame is not understood"))?;
            if down.is_notice {
                take(Arrival::Notice);
            }
            let (next, key) = step(pull, &down);
            pull = next;
            if let Some(key) = key {
                socket.queue(&frames::pull(&queue, key));
            }
        }
        socket.flush().await.map_err(lost)?;
    }
}

/// What a frame does to the pull, and the key of the page to ask for, if any.
fn step(pull: Pull, down: &Down) -> (Pull, Option<Option<u64>>) {
    match (pull, down) {
        (Pull::Idle, Down { is_notice: true, .. }) => (Pull::Running, Some(None)),
        (_, Down { is_notice: true, .. }) => (Pull::RunAgain, None),
        (_, Down { next_key: Some(key), .. }) => (pull, Some(Some(*key))),
        (Pull::RunAgain, Down { is_last: true, messages: 0, .. }) => (Pull::Running, Some(None)),
        (_, Down { is_last: true, messages: 0, .. }) => (Pull::Idle, None),
        _ => (pull, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_starts_a_pull_and_one_during_it_starts_another() {
        let notice = Down { is_notice: true, ..Down::default() };
        let page = Down { next_key: Some(9), messages: 2, ..Down::default() };
        let end = Down { is_last: true, ..Down::default() };
        let push = Down { is_last: true, messages: 1, ..Down::default() };
        let (pull, asked) = step(Pull::Idle, &push);
        assert!(pull == Pull::Idle && asked.is_none());
        let (pull, asked) = step(pull, &notice);
        assert!(pull == Pull::Running && asked == Some(None));
        let (pull, asked) = step(pull, &page);
        assert!(pull == Pull::Running && asked == Some(Some(9)));
        let (pull, asked) = step(pull, &notice);
        assert!(pull == Pull::RunAgain && asked.is_none());
        let (pull, asked) = step(pull, &end);
        assert!(pull == Pull::Running && asked == Some(None));
        let (pull, asked) = step(pull, &end);
        assert!(pull == Pull::Idle && asked.is_none());
    }
}
