//! A resend is answered with what its first sending was answered, and is never delivered twice.
//!
//! The guarantee is on (user, device, [`ClientId`]), whatever the channel, so the memory of it is shared by all lanes. A
//! sender's window holds its highest client ids. Client ids rise, so one that is above all that left the window is new
//! for certain, and only one below asks the store.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use bulkhead_model::{Error, ErrorKind, MessageId, Result};
use bulkhead_proto::records::Sent;
use bulkhead_proto::router::Published;
use bulkhead_store::{Row, Scan, tables};
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::oneshot;

use crate::cache::{Cache, Pinned};
use crate::keys::{ClientId, SenderKey};

/// Client ids that are read when a sender is first seen.
const LOADED_MAX: usize = 256;
/// Client ids that one window keeps.
const KEPT_MAX: usize = 512;
/// Resends of one message that may wait for its first sending.
const WAITING_MAX: usize = 16;
const PARTS: usize = 16;

/// Where a publish is answered.
pub(crate) type Answer = oneshot::Sender<Result<Published>>;

/// The windows of all senders.
pub(crate) struct Dedup {
    hasher: RandomState,
    parts: Vec<Mutex<Cache<SenderKey, SharedWindow>>>,
}

/// Held by a batch for as long as it has something in flight: a window that is held is not forgotten.
pub(crate) type SharedWindow = Arc<Mutex<Window>>;

impl Pinned for SharedWindow {
    fn pinned(&self) -> bool {
        Arc::strong_count(self) > 1
    }
}

impl Dedup {
    pub(crate) fn new(senders_max: usize) -> Self {
        let part = || Mutex::new(Cache::new((senders_max / PARTS).max(2)));
        Self { hasher: RandomState::new(), parts: (0..PARTS).map(|_| part()).collect() }
    }

    pub(crate) fn window(&self, sender: &SenderKey) -> SharedWindow {
        let mut part = self.parts[self.hasher.hash_one(sender) as usize % PARTS].lock();
        if let Some(window) = part.get_mut(sender) {
            return window.clone();
        }
        let window = SharedWindow::default();
        part.insert(sender.clone(), window.clone());
        window
    }

    /// Reads every sender's client ids again before they are next relied on.
    pub(crate) fn doubt_all(&self) {
        self.parts.iter().for_each(|part| part.lock().for_each(|window| window.lock().doubt()));
    }

    pub(crate) fn forget(&self, gone: impl Fn(&SenderKey) -> bool) {
        self.parts.iter().for_each(|part| part.lock().remove_where(&gone));
    }
}

/// What is known of one sender's client ids.
#[derive(Default)]
pub(crate) struct Window {
    loaded: bool,
    known: BTreeMap<ClientId, Known>,
    /// The highest client id that is not kept any more; `None` while none has left.
    left_max: Option<ClientId>,
}

enum Known {
    Done {
        id: u64,
        notify: Bytes,
    },
    InFlight(Vec<Answer>),
    /// From the store. The write that brought it may have been cut off.
    Stored(Sent),
}

/// What became of a claim.
pub(crate) enum Claim {
    /// The message is new, or the store has this of it; [`Window::settle`] must follow.
    Mine(Answer, Option<Sent>),
    /// Answered, or to be answered with the first sending.
    Taken,
}

/// The read that fills a window.
pub(crate) fn load_scan(sender: &SenderKey) -> Scan {
    Scan {
        table: &tables::DEDUP,
        scope: sender.scope(),
        partition: sender.partition(),
        from: Bytes::new(),
        to: Bytes::new(),
        descending: true,
        limit: LOADED_MAX,
    }
}

impl Window {
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Takes in what [`load_scan`] found; a second load changes nothing.
    pub(crate) fn load(&mut self, rows: &[Row]) {
        if std::mem::replace(&mut self.loaded, true) {
            return;
        }
        if rows.len() >= LOADED_MAX {
            let lowest = rows.last().and_then(|row| ClientId::of_row(&row.clustering));
            self.left_max = self.left_max.max(lowest);
        }
        for row in rows {
            if let Some(client_id) = ClientId::of_row(&row.clustering) {
                self.remember(client_id, &row.value);
            }
        }
    }

    /// Whether only the store can tell if this client id was used.
    pub(crate) fn asks_store(&self, client_id: ClientId) -> bool {
        Some(client_id) <= self.left_max && !self.known.contains_key(&client_id)
    }

    /// Takes in one row that the store had.
    pub(crate) fn remember(&mut self, client_id: ClientId, row: &Bytes) {
        if let Ok(sent) = Sent::decode(row.clone()) {
            self.known.entry(client_id).or_insert(Known::Stored(sent));
        }
    }

    /// Claims a client id for a message that is about to be sent.
    pub(crate) fn claim(&mut self, client_id: ClientId, answer: Answer) -> Claim {
        let known = match self.known.entry(client_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                free.insert(Known::InFlight(Vec::new()));
                return Claim::Mine(answer, None);
            }
        };
        match known {
            Known::Stored(sent) => {
                let sent = std::mem::take(sent);
                *known = Known::InFlight(Vec::new());
                return Claim::Mine(answer, Some(sent));
            }
            Known::Done { id, notify } => {
                let _ = answer.send(Ok(again(*id, notify.clone())));
            }
            Known::InFlight(waiting) if waiting.len() < WAITING_MAX => waiting.push(answer),
            Known::InFlight(_) => {
                let _ = answer.send(Err(ErrorKind::RateLimited.into()));
            }
        }
        metrics::counter!("bulkhead_router_duplicates_total").increment(1);
        Claim::Taken
    }

    /// Ends a claim, with the message's id when it is durable, and answers the resends that wait for it.
    pub(crate) fn settle(&mut self, client_id: ClientId, outcome: &Result<Published>) {
        let claimed = self.known.remove(&client_id);
        if let Ok(published) = outcome {
            self.known.insert(client_id, Known::Done { id: published.id, notify: published.notify.clone() });
            self.shrink();
        }
        let Some(Known::InFlight(waiting)) = claimed else { return };
        for answer in waiting {
            let _ = answer.send(match outcome {
                Ok(published) => Ok(again(published.id, published.notify.clone())),
                Err(error) => Err(Error::clone(error)),
            });
        }
    }

    /// Reads the store again before the next claim: a write failed, and its rows may be there all the same.
    pub(crate) fn doubt(&mut self) {
        self.loaded = false;
    }

    fn shrink(&mut self) {
        while self.known.len() > KEPT_MAX {
            match self.known.first_entry() {
                Some(lowest) if !matches!(lowest.get(), Known::InFlight(_)) => {
                    self.left_max = self.left_max.max(Some(*lowest.key()));
                    lowest.remove();
                }
                _ => return,
            }
        }
    }
}

/// The answer to a resend. The instant is the one in the id.
pub(crate) fn again(id: u64, notify: Bytes) -> Published {
    Published { id, timestamp_ms: MessageId(id).unix_ms(), duplicate: true, notify, ..Published::default() }
}

#[cfg(test)]
mod tests {
    use bulkhead_api::PendingPublish;
    use bulkhead_proto::records::MessageKind;

    use super::*;

    fn published(id: u64) -> Result<Published> {
        Ok(Published { id, ..Published::default() })
    }

    fn chat(number: u64) -> ClientId {
        ClientId::new(number, MessageKind::Chat)
    }

    fn claim(window: &mut Window, number: u64) -> (bool, PendingPublish) {
        let (answer, pending) = PendingPublish::new();
        (matches!(window.claim(chat(number), answer), Claim::Mine(..)), pending)
    }

    #[tokio::test]
    async fn a_resend_waits_for_its_first_sending_and_gets_its_answer() {
        let mut window = Window::default();
        assert!(claim(&mut window, 7).0);
        let (mine, resend) = claim(&mut window, 7);
        assert!(!mine);
        window.settle(chat(7), &published(99));
        let answer = resend.wait().await.unwrap();
        assert_eq!((answer.id, answer.duplicate), (99, true));
        let (mine, late) = claim(&mut window, 7);
        assert!(!mine);
        assert_eq!(late.wait().await.unwrap().id, 99);
    }

    #[tokio::test]
    async fn a_failed_sending_fails_its_resends_and_can_be_sent_again() {
        let mut window = Window::default();
        claim(&mut window, 7);
        let (_, resend) = claim(&mut window, 7);
        window.settle(chat(7), &Err(ErrorKind::Unavailable.into()));
        assert_eq!(resend.wait().await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(claim(&mut window, 7).0);
    }

    #[test]
    fn a_message_of_another_kind_is_no_resend() {
        let mut window = Window::default();
        claim(&mut window, 7);
        window.settle(chat(7), &published(99));
        let (answer, _pending) = PendingPublish::new();
        assert!(matches!(window.claim(ClientId::new(7, MessageKind::Recall), answer), Claim::Mine(..)));
    }

    #[test]
    fn a_window_is_bounded_and_asks_the_store_only_below_what_left_it() {
        let mut window = Window::default();
        for client_id in 1..=1000 {
            assert!(!window.asks_store(chat(client_id)));
            claim(&mut window, client_id);
            window.settle(chat(client_id), &published(client_id));
        }
        assert_eq!(window.known.len(), KEPT_MAX);
        assert!(window.asks_store(chat(1)) && window.asks_store(chat(488)));
        assert!(!window.asks_store(chat(489)) && !window.asks_store(chat(1001)));
    }

    #[tokio::test]
    async fn resends_that_wait_are_bounded() {
        let mut window = Window::default();
        let all: Vec<_> = (0..=WAITING_MAX + 1).map(|_| claim(&mut window, 1).1).collect();
        let last = all.into_iter().next_back().unwrap().wait().await;
        assert_eq!(last.unwrap_err().kind(), ErrorKind::RateLimited);
    }
}
