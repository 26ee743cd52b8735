//! A client pulls a queue page by page (msync.md §3).

use bulkhead_model::Error;
use bytes::Bytes;

use super::queues::{Behind, Entry, State};
use super::{Command, Phase, Session};
use crate::codec::{self, UpPull};
use crate::queue::Queue;

/// A page as the router reads it.
pub struct Page {
    /// Encoded `Meta`s without field 9, oldest first.
    pub metas: Vec<Bytes>,
    /// Where the next page goes on; 0 when nothing was read.
    pub next_key: u64,
    /// Nothing follows at this instant.
    pub is_last: bool,
}

/// For so long a pull without a key is taken for an echo while the key of a page is awaited, in milliseconds.
///
/// The web SDK asks for its first queue again, without a key, whenever anything is pushed while it pulls. Answered with
/// the same page, it would see the same key twice and give the queue up.
const ECHO_MS: u64 = 3_000;

impl Session {
    pub(super) fn pull(&mut self, pull: UpPull, now_ms: u64, out: &mut Vec<Command>) {
        let Phase::Live(live) = &mut self.phase else { return };
        let queue = live.queues.with_kind_of(pull.queue);
        // Pages and live messages must not mix: a queue that is pulled is behind until its end.
        live.turn_behind(&queue, 0);
        let mut key = pull.key;
        if let Some(Entry { state: State::Behind(behind), seen, proven, .. }) = live.queues.get(&queue) {
            // A key from elsewhere counts for this pull alone: it must not hide what comes later.
            *proven = (*proven).max(pull.key.min(*seen));
            let awaits_key = now_ms < behind.page_sent_ms.saturating_add(ECHO_MS);
            if behind.pulling || (pull.key == 0 && awaits_key) {
                return;
            }
            behind.pulling = true;
            behind.page_sent_ms = 0;
            behind.missed = 0;
            // A pong may have proven more, and its confirmation may still be on its way to the router.
            key = key.max(*proven);
        }
        self.in_flight += 1;
        out.push(Command::Pull { queue, key });
    }

    /// The outcome of [`Command::Pull`].
    pub fn page(&mut self, queue: &Queue, page: Result<Page, Error>, now_ms: u64, out: &mut Vec<Command>) {
        self.landed();
        let Phase::Live(live) = &mut self.phase else { return };
        // A queue that is not remembered stays behind whatever the page says.
        let mut forgotten = Behind::default();
        let (behind, known) = match live.queues.get(queue) {
            Some(Entry { state: State::Behind(behind), seen, pushed, .. }) => (behind, Some((seen, pushed))),
            _ => (&mut forgotten, None),
        };
        behind.pulling = false;
        // Without an answer the client would wait for ever; the next UNREAD lists the queue again.
        let Ok(page) = page else { return out.push(Command::Send(codec::pull_finished(queue, now_ms))) };
        if let Some((seen, pushed)) = known {
            *seen = (*seen).max(page.next_key);
            *pushed = (*pushed).max(page.next_key);
        }
        if !page.metas.is_empty() {
            behind.page_sent_ms = now_ms;
            let metas = page.metas.iter().map(Bytes::as_ref);
            let was_online = !behind.since_login;
            out.push(Command::Send(codec::page(queue, metas, page.next_key, was_online, now_ms)));
            // The key proves the page too, but after a broken connection a client does not send it again.
            live.proof.paged(queue, page.next_key, page.metas.len());
        } else if !page.is_last && page.next_key != 0 {
            // All of the page was for others. The client has nothing to go on with, so the session does.
            behind.pulling = true;
            self.in_flight += 1;
            out.push(Command::Pull { queue: queue.clone(), key: page.next_key });
        } else {
            out.push(Command::Send(codec::pull_finished(queue, now_ms)));
            if behind.missed > page.next_key {
                // Something came after the page was read; the client has to come once more.
                *behind = Behind::default();
                out.push(Command::Send(codec::notice(queue)));
            } else if page.is_last
                && let Some(entry) = live.queues.get(queue)
            {
                entry.state = State::CaughtUp;
            }
        }
    }
}
