//! One batch becomes rows: ids are given, conversations move on, and everything that must be durable together is put into
//! one list of mutations. The batch works on copies; [`Batch::finish`] tells the lane what is durable.
//!
//! An engine that keeps partitions apart writes messages and the memory of their client ids before it moves conversations
//! on, and a write that failed may land in part, or late. A message is *in the log* when a conversation has come as far as
//! its id. A resend of one that is not goes on under the id that it was given, unless others have come after it: the next
//! message of a channel sweeps what failed writes left, or have yet to leave, beyond the end of the log, in the partition
//! and the write that bring it, so that it never comes to light; see `docs/adr/0009-slots-by-leases.md`.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::RangeInclusive;

use bulkhead_model::{AppUuid, ErrorKind, MessageId, Result};
use bulkhead_proto::records::{Conversation, Message, MessageKind, Sent};
use bulkhead_proto::router::Published;
use bulkhead_store::{Mutation, Scope, tables};
use bytes::Bytes;

use crate::channels::change::{self, ChangeJob, Ids};
use crate::channels::draft::Draft;
use crate::channels::effect::Effect;
use crate::conversation::{self, Mark};
use crate::dedup::again;
use crate::directory::AppFacts;
use crate::keys::{CursorKey, StandingKey, id_bytes, message_row};
use crate::lane::{State, put};
use crate::load::Facts;
use crate::meta::{self, Address, MetaParts, Namespace};
use crate::publish::Job;
use crate::sequence::SlotIds;
use crate::{edit, judge, recall};

/// A message that has its place in the channel.
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) timestamp_ms: u64,
    /// The id before it in the sender's view.
    pub(crate) sender_previous_id: u64,
    /// The id before it in the receiver's view.
    pub(crate) receiver_previous_id: u64,
    pub(crate) meta: Bytes,
    pub(crate) notify: Bytes,
    pub(crate) transient: bool,
    /// Of a group or room: only these members get it; empty for all.
    pub(crate) only_users: Vec<String>,
    /// Its sender was not told of it before, but it was in the log.
    pub(crate) duplicate: bool,
}

/// The place of a message in its channel.
pub(crate) enum Place {
    New(Entry),
    /// It was in the log and there is nothing left to do.
    Known(Published),
}

impl Entry {
    pub(crate) fn published(&self) -> Published {
        Published {
            id: self.id,
            timestamp_ms: self.timestamp_ms,
            previous_id: self.sender_previous_id,
            duplicate: self.duplicate,
            notify: self.notify.clone(),
            transient: self.transient,
        }
    }
}

/// What a message does to another one.
pub(crate) struct Change {
    /// The other message as it is afterwards.
    pub(crate) target: Message,
    /// The payload that is delivered instead of the sender's.
    pub(crate) payload: Option<Bytes>,
    /// The JSON of the acknowledgement.
    pub(crate) notify: Bytes,
}

/// A batch that is being put together.
pub(crate) struct Batch {
    facts: Facts,
    now_ms: u64,
    mutations: Vec<Mutation>,
    touched: HashMap<StandingKey, Vec<Mark>>,
    moved: HashMap<CursorKey, conversation::Place>,
    /// What members have taken of channels of many by sending; written behind.
    taken: HashMap<StandingKey, Mark>,
    /// Ids whose rows are swept, by channel.
    swept: Vec<(AppUuid, Bytes, RangeInclusive<u64>)>,
}

/// What the facts tell of a message that may be a resend.
enum Found {
    Nothing,
    InLog(Place),
    /// It has an id; its rows may be there, or some of them.
    Unfinished(MessageId),
}

impl Batch {
    pub(crate) fn new(facts: Facts, now_ms: u64, messages: usize) -> Self {
        let mutations = Vec::with_capacity(messages * 3);
        let touched = HashMap::with_capacity(messages);
        Self {
            facts,
            now_ms,
            mutations,
            touched,
            moved: HashMap::new(),
            taken: HashMap::new(),
            swept: Vec::new(),
        }
    }

    /// Judges a message and gives it its place. The ids of its slot move even if the batch fails.
    pub(crate) fn add(&mut self, job: &Job, ids: &mut SlotIds) -> Result<Place> {
        match self.find_resend(job)? {
            Found::InLog(place) => Ok(place),
            Found::Unfinished(id) => self.append(job, ids, Some(id)).map(Place::New),
            Found::Nothing => self.append(job, ids, None).map(Place::New),
        }
    }

    /// `unfinished` is the id of an earlier attempt that did not get into the log.
    fn append(&mut self, job: &Job, ids: &mut SlotIds, unfinished: Option<MessageId>) -> Result<Entry> {
        let app = self.app(job.app)?;
        judge::may_send(job, &self.facts)?;
        let change = self.change(job, &app)?;
        let only_users = self.only_users(job)?;
        let log_end = self.log_end(job);
        let doubtful = ids.doubtful_from(log_end);
        let id = unfinished.unwrap_or_else(|| ids.give(self.now_ms, job.slot));
        let payload =
            change.as_ref().and_then(|change| change.payload.as_ref()).unwrap_or(&job.request.payload);
        let meta = meta::encode(&MetaParts {
            namespace: Namespace::Chat,
            app_key: &app.app_key,
            id: id.0,
            from: Address {
                kind: bulkhead_model::ChannelKind::Direct,
                name: &job.request.from_user,
                device: &job.request.from_device,
            },
            to: Address { kind: job.channel.kind(), name: &job.to.name, device: &job.request.to_device },
            timestamp_ms: id.unix_ms(),
            payload,
            ext: &job.request.meta_ext,
        });
        let mut entry = Entry {
            id: id.0,
            timestamp_ms: id.unix_ms(),
            sender_previous_id: match self.draft(job) {
                Some(draft) => draft.head().last_id,
                None => self.standing(&job.sender_standing).last_id,
            },
            receiver_previous_id: 0,
            meta,
            notify: change.as_ref().map(|change| change.notify.clone()).unwrap_or_default(),
            transient: job.request.online_only,
            only_users,
            duplicate: false,
        };
        if entry.transient {
            return Ok(entry);
        }
        if let Some(doubtful) = doubtful.filter(|doubtful| *doubtful > log_end) {
            self.swept.push((job.app, job.channel_key.clone(), log_end + 1..=doubtful));
            self.mutations.push(Mutation::DeleteRange {
                table: &tables::MESSAGES,
                scope: Scope::App(job.app),
                partition: job.channel_key.clone(),
                from: id_bytes(log_end + 1),
                to: id_bytes(doubtful + 1),
            });
        }
        if let Some(change) = change {
            let target_id = job.request.target_id;
            let key = message_row(job.app, &job.channel_key, target_id);
            self.mutations.push(put(key, &change.target));
            self.facts.targets.insert((job.app, job.channel_key.clone(), target_id), Some(change.target));
        }
        self.store(job, &entry);
        if job.many.is_some() {
            self.append_to_many(job, &entry);
            return Ok(entry);
        }
        if let Some(receiver) = job.receiver_standing.as_ref().filter(|_| !job.is_to_self()) {
            entry.receiver_previous_id = self.advance(receiver, entry.id, job.is_chat());
        }
        if !job.is_hidden_from_sender() {
            self.advance(&job.sender_standing, entry.id, job.is_chat() && job.is_to_self());
            self.sender_has(job, &entry);
        }
        if doubtful.is_some() && job.many.is_none() {
            // One of the two views may have missed what the other one has.
            entry.sender_previous_id = entry.sender_previous_id.max(log_end);
            entry.receiver_previous_id = entry.receiver_previous_id.max(log_end);
        }
        Ok(entry)
    }

    /// Makes a change of a group or room.
    pub(crate) fn change_channel(&mut self, job: &ChangeJob, last_id: &mut MessageId) -> Result<Effect> {
        let app = self.app(job.key.app())?;
        let Some(draft) = self.facts.channels.get_mut(&job.key) else {
            return Err(ErrorKind::Internal.into());
        };
        let mut steps = Vec::new();
        let mut ids = Ids::new(last_id, self.now_ms, job.slot);
        let changed = change::apply(draft, job, &mut ids, &mut self.mutations, &mut steps)?;
        Ok(Effect { key: job.key.clone(), app, changed, steps, id: last_id.0 })
    }

    /// Whether the batch writes this conversation itself.
    pub(crate) fn writes(&self, key: &StandingKey) -> bool {
        self.touched.contains_key(key)
    }

    /// Adds the rows of the conversations, one for each however many messages it got, and hands the list over.
    pub(crate) fn take_mutations(&mut self) -> Vec<Mutation> {
        for key in self.touched.keys() {
            self.mutations.push(put(key.row(), &self.facts.standings[key]));
        }
        for draft in self.facts.channels.values() {
            draft.write(&mut self.mutations);
        }
        std::mem::take(&mut self.mutations)
    }

    /// Tells the lane what is durable now. After a failure it forgets what the batch touched, because the rows may have
    /// been written all the same.
    pub(crate) fn finish(self, state: &mut State, durable: bool) {
        for (key, marks) in self.touched {
            if durable {
                let row = self.facts.standings[&key];
                state.standing_written(key, row, marks);
            } else {
                state.standings.remove(&key);
            }
        }
        for draft in self.facts.channels.into_values() {
            draft.finish(state, durable);
        }
        if durable {
            for (key, place) in self.moved {
                let cursor = (place.id, place.incoming);
                state.put_place(&key, place, |kept| kept.advance(cursor));
            }
            for (key, mark) in self.taken {
                let row = self.facts.standings.get(&key).copied().unwrap_or_default();
                state.member_took(key, row, mark);
            }
        }
    }

    /// How far the log of a message's channel has come.
    fn log_end(&self, job: &Job) -> u64 {
        if let Some(draft) = self.draft(job) {
            return draft.head().last_id;
        }
        let views = [Some(&job.sender_standing), job.receiver_standing.as_ref()];
        views.into_iter().flatten().map(|view| self.standing(view).last_id).max().unwrap_or(0)
    }

    fn find_resend(&mut self, job: &Job) -> Result<Found> {
        let Some(sent) = &job.stored else { return Ok(Found::Nothing) };
        let known = Found::InLog(Place::Known(again(sent.id, sent.notify.clone())));
        let Some(id) = job.stored_id() else { return Ok(known) };
        let is_swept = |(app, channel_key, ids): &(AppUuid, Bytes, RangeInclusive<u64>)| {
            *app == job.app && *channel_key == job.channel_key && ids.contains(&id)
        };
        if self.swept.iter().any(is_swept) {
            // Gone for good only if this very batch gets through.
            return Err(ErrorKind::Unavailable.into());
        }
        let message =
            self.facts.targets.get(&(job.app, job.channel_key.clone(), id)).and_then(Option::as_ref);
        Ok(match (id.cmp(&self.log_end(job)), message) {
            (Ordering::Greater, _) => Found::Unfinished(MessageId(id)),
            // Swept when others came after it.
            (Ordering::Less | Ordering::Equal, None) => Found::Nothing,
            (Ordering::Less, Some(_)) => known,
            (Ordering::Equal, Some(message)) => {
                // Perhaps nobody was told of it. Whoever has seen it passes over it, the others come for it.
                let entry = Entry {
                    id,
                    timestamp_ms: MessageId(id).unix_ms(),
                    sender_previous_id: id - 1,
                    receiver_previous_id: id - 1,
                    meta: message.meta.clone(),
                    notify: sent.notify.clone(),
                    transient: false,
                    only_users: message.only_users.clone(),
                    duplicate: true,
                };
                if job.many.is_none() {
                    self.complete_views(job, id);
                }
                Found::InLog(Place::New(entry))
            }
        })
    }

    /// Moves the one of the two views on that the write of a message did not get to.
    fn complete_views(&mut self, job: &Job, id: u64) {
        let receiver = job.receiver_standing.as_ref().filter(|_| !job.is_to_self());
        let sender = Some(&job.sender_standing).filter(|_| !job.is_hidden_from_sender());
        for (view, counts) in [(receiver, job.is_chat()), (sender, job.is_chat() && job.is_to_self())] {
            if let Some(view) = view.filter(|view| self.standing(view).last_id < id) {
                self.advance(view, id, counts);
            }
        }
    }

    fn app(&self, app: AppUuid) -> Result<std::sync::Arc<AppFacts>> {
        match self.facts.apps.get(&app) {
            Some(found) => found.clone(),
            None => Err(ErrorKind::AppNotFound.into()),
        }
    }

    fn change(&self, job: &Job, app: &AppFacts) -> Result<Option<Change>> {
        if !matches!(job.kind, MessageKind::Recall | MessageKind::Edit) {
            return Ok(None);
        }
        let key = (job.app, job.channel_key.clone(), job.request.target_id);
        let target = self.facts.targets.get(&key).and_then(Option::as_ref);
        if job.kind == MessageKind::Recall {
            recall::recall(job, target, app, self.now_ms).map(Some)
        } else {
            edit::edit(job, target, self.now_ms).map(Some)
        }
    }

    /// The group or room that a message is for.
    fn draft(&self, job: &Job) -> Option<&Draft> {
        job.many.as_ref().and_then(|key| self.facts.channels.get(key))
    }

    /// Which members get a message: those that it names. A receipt is for the author of what it means, and that one has
    /// read a conversation is for one's own other devices.
    fn only_users(&self, job: &Job) -> Result<Vec<String>> {
        if job.many.is_none() {
            return Ok(Vec::new());
        }
        Ok(match job.kind {
            MessageKind::ReadAck | MessageKind::DeliverAck => {
                let key = (job.app, job.channel_key.clone(), job.request.target_id);
                let target = self.facts.targets.get(&key).and_then(Option::as_ref);
                vec![target.ok_or(ErrorKind::MessageNotFound)?.from_user.clone()]
            }
            MessageKind::ChannelAck => vec![job.request.from_user.clone()],
            _ => job.request.only_users.clone(),
        })
    }

    fn standing(&self, key: &StandingKey) -> Conversation {
        self.facts.standings.get(key).copied().unwrap_or_default()
    }

    /// The message's own row and the memory of its client id.
    fn store(&mut self, job: &Job, entry: &Entry) {
        let row = Message {
            meta: entry.meta.clone(),
            from_user: job.request.from_user.clone(),
            from_device: job.request.from_device.clone(),
            timestamp_ms: entry.timestamp_ms,
            kind: job.kind.into(),
            content: job.content.into(),
            only_device: job.request.to_device.clone(),
            hidden_from_sender: job.is_hidden_from_sender(),
            history_hidden_for: job.request.history_hidden_for.clone(),
            edits: 0,
            recalled: false,
            only_users: entry.only_users.clone(),
            client_id: job.request.client_id,
        };
        self.mutations.push(put(message_row(job.app, &job.channel_key, entry.id), &row));
        if let Some(sender) = &job.sender {
            let sent = Sent { id: entry.id, timestamp_ms: entry.timestamp_ms, notify: entry.notify.clone() };
            self.mutations.push(put(sender.row(job.client_id()), &sent));
        }
    }

    /// Moves the log of a group or room on, and its sender's device with it if that had everything before.
    fn append_to_many(&mut self, job: &Job, entry: &Entry) {
        let Some(draft) = job.many.as_ref().and_then(|key| self.facts.channels.get_mut(key)) else { return };
        draft.advance(entry.id, job.is_chat());
        let (Some(key), Some(member)) = (&job.sender_cursor, draft.member(&job.request.from_user)) else {
            return;
        };
        let Some(place) = self.facts.places.get_mut(key) else { return };
        place.enter((member.joined_id, member.joined_incoming));
        if place.id >= entry.sender_previous_id {
            let mark = (entry.id, draft.head().incoming);
            place.advance(mark);
            self.moved.insert(key.clone(), place.clone());
            self.taken.insert(job.sender_standing.clone(), mark);
        }
    }

    /// Moves a user's view of the channel on and answers the id that was its last.
    fn advance(&mut self, key: &StandingKey, id: u64, counts: bool) -> u64 {
        let row = self.facts.standings.entry(key.clone()).or_default();
        let previous_id = std::mem::replace(&mut row.last_id, id);
        row.incoming += u64::from(counts);
        let mark = (id, row.incoming);
        self.touched.entry(key.clone()).or_default().push(mark);
        previous_id
    }

    /// A device has what it sent itself; with that it stays caught up, if it was.
    fn sender_has(&mut self, job: &Job, entry: &Entry) {
        let Some(key) = &job.sender_cursor else { return };
        let Some(place) = self.facts.places.get_mut(key) else { return };
        if place.id < entry.sender_previous_id {
            return;
        }
        let Some(row) = self.facts.standings.get_mut(&job.sender_standing) else { return };
        place.advance((entry.id, row.incoming));
        self.moved.insert(key.clone(), place.clone());
        row.taken_id = entry.id;
        row.taken_incoming = row.incoming;
    }
}
