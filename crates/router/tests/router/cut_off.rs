//! An engine that keeps partitions apart leaves writes in part and late. Whatever it does: nothing acknowledged is lost, nothing
//! is in a log twice, and everybody has one order (design.md, guarantees 1 to 3).

use std::collections::{BTreeMap, HashMap};

use bulkhead_api::RouterApi;
use bulkhead_proto::records::MessageKind;
use bulkhead_proto::router::{
    ConfirmRequest, HistoryRequest, PublishRequest, PullRequest, Queue, QueueKind, QueuePosition,
    gateway_event::Event,
};
use bytes::Bytes;

use crate::bed::{Bed, text_body};
use crate::switches::Writes;

/// Steps of one story.
const STEPS: usize = 80;
/// Attempts after which a message must be through when nothing is cut off any more.
const ATTEMPTS_MAX: usize = 3;

#[tokio::test]
async fn a_direct_channel_stays_whole_whatever_is_cut_off() {
    for seed in 0..12 {
        Story::direct(seed).await.tell().await;
    }
}

#[tokio::test]
async fn a_group_stays_whole_whatever_is_cut_off() {
    for seed in 1000..1012 {
        Story::group(seed).await.tell().await;
    }
}

/// Two users who write into one channel, one message after the other, each until it is acknowledged; and a third device
/// that follows it live.
struct Story {
    bed: Bed,
    seed: u64,
    /// `None` for the direct channel of the two.
    group: Option<String>,
    next: HashMap<&'static str, u64>,
    /// By id: sender and client id.
    acknowledged: BTreeMap<u64, (&'static str, u64)>,
    watched: Watched,
}

/// What bob's second device has, as its session would push it or have it pulled.
#[derive(Default)]
struct Watched {
    seen: u64,
    got: Vec<u64>,
}

const PEOPLE: [&str; 2] = ["alice", "bob"];
const WATCHING: &str = "web_2";

impl Story {
    async fn direct(seed: u64) -> Self {
        Self::new(Bed::start().await, seed, None)
    }

    async fn group(seed: u64) -> Self {
        let bed = Bed::start().await;
        let group = bed.make_group("alice", &["bob"]).await;
        Self::new(bed, seed, Some(group))
    }

    fn new(bed: Bed, seed: u64, group: Option<String>) -> Self {
        bed.database.seed(seed);
        let next = PEOPLE.map(|name| (name, 1)).into();
        Self { bed, seed, group, next, acknowledged: BTreeMap::new(), watched: Watched::default() }
    }

    async fn tell(mut self) {
        self.bed.open("bob", WATCHING).await;
        for _ in 0..STEPS {
            self.bed.clock.advance_ms(7);
            let chance = |bound| self.bed.database.chance(bound);
            let (sender, both, trouble, lands, crashes) =
                (chance(2), chance(3) == 0, chance(2) == 0, chance(3) == 0, chance(20) == 0);
            if lands {
                self.bed.database.land_late().await;
            }
            if crashes {
                self.bed.crash().await;
                self.bed.open("bob", WATCHING).await;
                self.pull().await;
            }
            self.bed.store.set(if trouble { Writes::Cut } else { Writes::Apply });
            let sender = &PEOPLE[usize::from(sender)..][..1];
            self.attempt(if both { &PEOPLE } else { sender }).await;
            self.watch().await;
        }
        self.bed.store.set(Writes::Apply);
        for sender in PEOPLE {
            let client_id = self.next[sender];
            for attempt in 0.. {
                assert!(
                    attempt < ATTEMPTS_MAX,
                    "seed {}: {sender} {client_id} does not get through",
                    self.seed
                );
                if self.attempt(&[sender]).await {
                    break;
                }
            }
        }
        while self.bed.database.land_late().await {}
        self.watch().await;
        self.pull().await;
        self.judge("before a crash").await;
        self.bed.crash().await;
        self.judge("after a crash").await;
    }

    /// Each sends the message that is next, which may be a resend. Answers whether all got through.
    async fn attempt(&mut self, senders: &[&'static str]) -> bool {
        let publish = |sender| self.bed.publish(self.message(sender, self.next[sender]));
        let pending: Vec<_> = senders.iter().map(|sender| (*sender, publish(sender))).collect();
        let mut all = true;
        for (sender, pending) in pending {
            let Ok(published) = pending.wait().await else {
                all = false;
                continue;
            };
            let client_id = self.next[sender];
            let before = self.acknowledged.insert(published.id, (sender, client_id));
            assert_eq!(before, None, "seed {}: two messages have one id", self.seed);
            self.next.insert(sender, client_id + 1);
        }
        all
    }

    fn message(&self, sender: &str, client_id: u64) -> PublishRequest {
        let text = format!("{sender} {client_id}");
        let to = if sender == "alice" { "bob" } else { "alice" };
        let mut request =
            PublishRequest { from_device: "web_1".into(), client_id, ..self.bed.text(sender, to, &text) };
        if self.group.is_some() {
            request.to = Some(self.queue_of(sender));
            request.kind = MessageKind::Groupchat.into();
        }
        request
    }

    fn queue_of(&self, user: &str) -> Queue {
        match &self.group {
            Some(group) => Queue { name: group.clone(), kind: QueueKind::Group.into() },
            None => crate::bed::queue(if user == "alice" { "bob" } else { "alice" }),
        }
    }

    /// Takes what was delivered to the watching device: in order it is pushed and proven, behind a gap it is pulled.
    async fn watch(&mut self) {
        while let Some(event) = self.bed.events.try_next().await {
            let (id, previous_id) = match event {
                Event::Delivery(delivery) if delivery.user == "bob" => (delivery.id, delivery.previous_id),
                Event::ChannelDelivery(delivery) => (delivery.id, delivery.previous_id),
                _ => continue,
            };
            if id <= self.watched.seen {
                continue;
            }
            if previous_id > self.watched.seen {
                self.pull().await;
                continue;
            }
            self.watched.seen = id;
            self.watched.got.push(id);
            let positions = vec![QueuePosition { queue: Some(self.queue_of("bob")), id }];
            let session = Some(self.bed.session("bob", WATCHING));
            self.bed.router.confirm(ConfirmRequest { session, positions }).await.unwrap();
        }
    }

    async fn pull(&mut self) {
        let mut key = 0;
        loop {
            let session = Some(self.bed.session("bob", WATCHING));
            let request = PullRequest { session, queue: Some(self.queue_of("bob")), key };
            let page = self.bed.router.pull(request).await.unwrap();
            for message in &page.messages {
                // A crash may have forgotten what was proven; a client drops what it has.
                if !self.watched.got.contains(&message.id) {
                    self.watched.got.push(message.id);
                }
            }
            self.watched.seen = self.watched.seen.max(page.next_key);
            if page.is_last {
                return;
            }
            key = page.next_key;
        }
    }

    async fn judge(&self, when: &str) {
        let seed = self.seed;
        let ids: Vec<u64> = self.acknowledged.keys().copied().collect();
        let history = self.history().await;
        let ids_of = |found: &[(u64, Bytes)]| found.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        assert_eq!(ids_of(&history), ids, "seed {seed}, {when}: the history is not what was acknowledged");
        for (id, meta) in &history {
            let (sender, client_id) = self.acknowledged[id];
            let text = text_body(&format!("{sender} {client_id}"));
            assert!(
                meta.windows(text.len()).any(|part| part == text),
                "seed {seed}, {when}: {id} is another message"
            );
        }
        assert_eq!(self.watched.got, ids, "seed {seed}, {when}: bob's device did not get it so");
        for (id, (sender, client_id)) in &self.acknowledged {
            let again = self.bed.send(self.message(sender, *client_id)).await;
            assert_eq!(
                (again.id, again.duplicate),
                (*id, true),
                "seed {seed}, {when}: {sender} {client_id} again"
            );
        }
        assert_eq!(ids_of(&self.history().await), ids, "seed {seed}, {when}: resends are in the history");
    }

    async fn history(&self) -> Vec<(u64, Bytes)> {
        let mut request = HistoryRequest {
            queue: Some(self.queue_of("bob")),
            towards_newer: true,
            ..self.bed.history("bob", "alice", 50)
        };
        let mut found = Vec::new();
        loop {
            let page = self.bed.router.history(request.clone()).await.unwrap();
            found.extend(page.messages.into_iter().map(|message| (message.id, message.meta)));
            if page.is_last {
                return found;
            }
            request.start_id = page.next_key;
        }
    }
}
