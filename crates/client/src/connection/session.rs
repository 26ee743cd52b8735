//! The client's side of MSYNC without a socket: frames in, frames and events out.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bulkhead_model::AppKey;
use bulkhead_msync::proto::m_sync::Command;
use bulkhead_msync::proto::meta::NameSpace;
use bulkhead_msync::proto::{CommNotice, CommSyncDl, CommUnreadDl, Jid, MSync, Meta, message_body::Type};
use bytes::Bytes;
use prost::Message as _;
use tokio::sync::oneshot;

use super::{ACK_LIMIT, Outgoing, Sent, receipt};
use crate::{ClientError, Event, frames};

/// Messages that may wait for their acknowledgement.
const PENDING_MAX: usize = 1024;

/// Ids that are remembered, so that a message that comes twice is told once.
const RECENT_MAX: usize = 512;

/// Queues that may be pulled at one time; the others follow with the next answer to UNREAD.
const PULLS_MAX: usize = 1000;

type Reply = oneshot::Sender<Result<Sent, ClientError>>;

/// What is known of one login, over all its sockets.
pub(super) struct Session {
    app: AppKey,
    user: String,
    delivery_receipts: bool,
    client_ids: Arc<AtomicU64>,
    /// By client id, which is the order of sending.
    pending: BTreeMap<u64, Pending>,
    pulls: HashMap<String, Pull>,
    recent: HashSet<u64>,
    recent_order: VecDeque<u64>,
    /// Whether the program has yet to be told that all that waited is taken.
    syncing: bool,
    /// Frames to send, in order.
    pub(super) outbox: VecDeque<Bytes>,
    /// Events to tell, in order.
    pub(super) events: VecDeque<Event>,
}

struct Pending {
    frame: Bytes,
    reply: Reply,
    sent_at: Instant,
}

#[derive(Default)]
struct Pull {
    last_key: Option<u64>,
    /// A notice came while the queue was being pulled.
    again: bool,
}

/// Whether the conversation goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    Kicked,
}

impl Session {
    pub(super) fn new(app: AppKey, user: &str, delivery_receipts: bool, client_ids: Arc<AtomicU64>) -> Self {
        Self {
            app,
            user: user.to_owned(),
            delivery_receipts,
            client_ids,
            pending: BTreeMap::new(),
            pulls: HashMap::new(),
            recent: HashSet::new(),
            recent_order: VecDeque::new(),
            syncing: false,
            outbox: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A socket is logged in: sends again what was not acknowledged, and asks what waits.
    pub(super) fn begin(&mut self, now: Instant) {
        self.outbox.clear();
        self.pulls.clear();
        // Nobody waits any more for what has timed out; its sender decides whether it is sent again.
        self.pending.retain(|_, pending| !pending.reply.is_closed());
        for pending in self.pending.values_mut() {
            pending.sent_at = now;
            self.outbox.push_back(pending.frame.clone());
        }
        self.syncing = true;
        self.outbox.push_back(frames::unread());
    }

    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < PENDING_MAX
    }

    pub(super) fn send(&mut self, outgoing: &Outgoing, reply: Reply, now: Instant) {
        if !self.has_room() {
            let _ = reply.send(Err(ClientError::Full));
            return;
        }
        let frame = frames::send(outgoing.client_id, &self.app, &outgoing.to, &outgoing.body);
        self.outbox.push_back(frame.clone());
        self.pending.insert(outgoing.client_id, Pending { frame, reply, sent_at: now });
    }

    pub(super) fn keep_alive(&mut self) {
        self.outbox.push_back(frames::unread());
    }

    /// Whether a message has waited for its acknowledgement for longer than any server may take.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.pending.values().any(|pending| now.duration_since(pending.sent_at) > ACK_LIMIT)
    }

    /// Nothing will be acknowledged any more.
    pub(super) fn fail_pending(&mut self) {
        for (_, pending) in std::mem::take(&mut self.pending) {
            let _ = pending.reply.send(Err(ClientError::Closed));
        }
    }

    /// Takes a frame of the server. `Malformed` for one that is no MSYNC.
    pub(super) fn receive(&mut self, frame: Bytes) -> Result<Flow, ClientError> {
        let malformed = |_| ClientError::Malformed("a frame of the server");
        let frame = MSync::decode(frame).map_err(malformed)?;
        let payload = frame.payload.clone().unwrap_or_default();
        match frame.command() {
            Command::Sync => return Ok(self.sync(CommSyncDl::decode(payload).map_err(malformed)?)),
            Command::Unread => {
                let answer = CommUnreadDl::decode(payload).map_err(malformed)?;
                for queue in answer.unread.into_iter().filter_map(|unread| unread.queue) {
                    self.pull(queue);
                }
                self.tell_when_synced();
            }
            Command::Notice => {
                if let Some(queue) = CommNotice::decode(payload).map_err(malformed)?.queue {
                    self.pull(queue);
                }
            }
            Command::Provision | Command::Logout => {}
        }
        Ok(Flow::Continue)
    }

    fn sync(&mut self, answer: CommSyncDl) -> Flow {
        if let Some(client_id) = answer.meta_id {
            self.acknowledged(client_id, &answer);
            return Flow::Continue;
        }
        let has_messages = !answer.metas.is_empty();
        for meta in answer.metas {
            if self.take(meta) == Flow::Kicked {
                return Flow::Kicked;
            }
        }
        let Some(queue) = answer.queue else { return Flow::Continue };
        let name = queue.name().to_owned();
        match answer.next_key {
            Some(key) if self.pulls.get(&name).is_none_or(|pull| pull.last_key != Some(key)) => {
                self.outbox.push_back(frames::pull(&queue, Some(key)));
                self.pulls.entry(name).or_default().last_key = Some(key);
            }
            // The same key twice, or the last page.
            _ => {
                // A last page that holds messages cannot be told from a push, so that the end is asked for once more.
                let again = self.pulls.remove(&name).is_some_and(|pull| pull.again || has_messages);
                if again {
                    self.pull(queue);
                }
                self.tell_when_synced();
            }
        }
        Flow::Continue
    }

    fn acknowledged(&mut self, client_id: u64, answer: &CommSyncDl) {
        let Some(pending) = self.pending.remove(&client_id) else { return };
        let status = answer.status.clone().unwrap_or_default();
        let outcome = match status.error_code.unwrap_or_default() {
            0 => Ok(Sent { id: answer.server_id(), timestamp_ms: answer.timestamp() }),
            code => Err(ClientError::Refused { code, reason: status.reason().to_owned() }),
        };
        // The sender may have stopped waiting.
        let _ = pending.reply.send(outcome);
    }

    fn take(&mut self, meta: Meta) -> Flow {
        if meta.ns() == NameSpace::Chat && !self.is_new(meta.id()) {
            return Flow::Continue;
        }
        let Some(event) = Event::from_meta(meta) else { return Flow::Continue };
        let kicked = matches!(event, Event::Kicked { .. });
        if let Event::Message(message) = &event
            && self.delivery_receipts
            && message.body.r#type() == Type::Chat
            && message.from != self.user
        {
            let client_id = self.client_ids.fetch_add(1, Ordering::Relaxed);
            let body = receipt(Type::DeliverAck, &self.user, &message.from, Some(message.id));
            // Nobody waits for this acknowledgement: a receipt that is lost is no loss.
            self.outbox.push_back(frames::send(client_id, &self.app, &message.from, &body));
        }
        self.events.push_back(event);
        if kicked { Flow::Kicked } else { Flow::Continue }
    }

    /// Whether the id was not seen lately; remembers it.
    fn is_new(&mut self, id: u64) -> bool {
        if !self.recent.insert(id) {
            return false;
        }
        self.recent_order.push_back(id);
        if self.recent_order.len() > RECENT_MAX
            && let Some(oldest) = self.recent_order.pop_front()
        {
            self.recent.remove(&oldest);
        }
        true
    }

    fn pull(&mut self, queue: Jid) {
        if let Some(pull) = self.pulls.get_mut(queue.name()) {
            pull.again = true;
        } else if self.pulls.len() < PULLS_MAX {
            self.outbox.push_back(frames::pull(&queue, None));
            self.pulls.insert(queue.name().to_owned(), Pull::default());
        }
    }

    fn tell_when_synced(&mut self) {
        if self.syncing && self.pulls.is_empty() {
            self.syncing = false;
            self.events.push_back(Event::Synced);
        }
    }
}

#[cfg(test)]
#[path = "session_test.rs"]
mod tests;
