//! A channel of many as a batch changes it. Becomes the roster when the batch is durable.

use std::collections::HashMap;
use std::sync::Arc;

use bulkhead_proto::records::{self, ChannelRole};
use bulkhead_store::{Mutation, Put, tables};
use bytes::Bytes;

use super::key::{ChannelRef, GROUPS, PUBLIC_GROUPS, ROOMS};
use super::roster::{Head, Roster};
use crate::conversation::Mark;
use crate::keys::StandingKey;
use crate::lane::{State, put};

/// See the module.
pub(crate) struct Draft {
    key: ChannelRef,
    base: Option<Arc<Roster>>,
    /// The channel's record where it is not the base's any more.
    record: Option<records::Channel>,
    /// Who is in it now, or not any more, other than in the base.
    members: HashMap<Box<str>, Option<records::Member>>,
    count: usize,
    head: records::Head,
    marks: Vec<Mark>,
    /// The base was destroyed, whatever was made in its place.
    destroyed: bool,
}

impl Draft {
    /// A channel as it is, or `None` for one that is not there.
    pub(crate) fn of(key: ChannelRef, base: Option<Arc<Roster>>) -> Self {
        let count = base.as_ref().map_or(0, |base| base.members.len());
        let head = base.as_ref().map(|base| base.head.row).unwrap_or_default();
        Self {
            key,
            base,
            record: None,
            members: HashMap::new(),
            count,
            head,
            marks: Vec::new(),
            destroyed: false,
        }
    }

    pub(crate) fn key(&self) -> &ChannelRef {
        &self.key
    }

    /// What the channel is; `None` when there is none.
    pub(crate) fn record(&self) -> Option<&records::Channel> {
        self.record.as_ref().or_else(|| self.base.as_ref().map(|base| &base.record))
    }

    pub(crate) fn head(&self) -> records::Head {
        self.head
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn member(&self, user: &str) -> Option<records::Member> {
        match self.members.get(user) {
            Some(changed) => *changed,
            None => self.base.as_ref().and_then(|base| base.members.get(user).copied()),
        }
    }

    /// Everybody who is in it.
    pub(crate) fn users(&self) -> impl Iterator<Item = &str> {
        let base = self.base.iter().flat_map(|base| base.members.keys());
        let unchanged = base.filter(|user| !self.members.contains_key(*user));
        let changed = self.members.iter().filter(|(_, member)| member.is_some()).map(|(user, _)| user);
        unchanged.chain(changed).map(|user| &**user)
    }

    pub(crate) fn set_record(&mut self, record: records::Channel) {
        self.record = Some(record);
    }

    /// Puts a user in, or changes how the user stands.
    pub(crate) fn put_member(&mut self, user: &str, member: records::Member) {
        if self.member(user).is_none() {
            self.count += 1;
        }
        self.members.insert(user.into(), Some(member));
    }

    pub(crate) fn remove_member(&mut self, user: &str) {
        if self.member(user).is_some() {
            self.count -= 1;
            self.members.insert(user.into(), None);
        }
    }

    /// A new member, who sees what comes after `id`.
    pub(crate) fn member_from(&self, role: ChannelRole, id: u64, now_ms: u64) -> records::Member {
        let head = self.head;
        records::Member {
            role: role.into(),
            joined_ms: now_ms,
            joined_id: id,
            joined_incoming: head.incoming,
        }
    }

    /// A message has its place in the log.
    pub(crate) fn advance(&mut self, id: u64, counts: bool) {
        self.head.last_id = id;
        self.head.incoming += u64::from(counts);
        self.marks.push((id, self.head.incoming));
    }

    /// Ends the channel: nothing of it is left but what a later change puts in its place.
    pub(crate) fn destroy(&mut self, mutations: &mut Vec<Mutation>) {
        let key = &self.key;
        let lists: &[&'static str] = if key.is_room() { &[ROOMS] } else { &[GROUPS, PUBLIC_GROUPS] };
        mutations.extend(lists.iter().map(|list| Mutation::Delete(key.listing_row(list))));
        for user in self.users() {
            mutations.push(Mutation::Delete(key.membership_row(user)));
            mutations.push(Mutation::Delete(self.standing(user).row()));
        }
        for table in [&tables::CHANNELS, &tables::HEADS, &tables::MEMBERS, &tables::MESSAGES] {
            mutations.push(Mutation::DeleteRange {
                table,
                scope: key.scope(),
                partition: key.channel_key(),
                from: Bytes::new(),
                to: Bytes::new(),
            });
        }
        *self = Self { destroyed: true, ..Self::of(key.clone(), None) };
    }

    /// Adds the rows that are not as in the store: one for the channel and one for the head, however much happened.
    pub(crate) fn write(&self, mutations: &mut Vec<Mutation>) {
        let Some(record) = self.record() else { return };
        let key = &self.key;
        let before = self.base.as_ref().map(|base| &base.record);
        if self.record.is_some() || !self.members.is_empty() {
            let record = records::Channel { member_count: self.count as u32, ..record.clone() };
            mutations.push(put(key.row(&tables::CHANNELS), &record));
        }
        if before.is_none() {
            mutations.push(list(key, if key.is_room() { ROOMS } else { GROUPS }));
        }
        if !key.is_room() && record.public != before.is_some_and(|before| before.public) {
            mutations.push(if record.public {
                list(key, PUBLIC_GROUPS)
            } else {
                Mutation::Delete(key.listing_row(PUBLIC_GROUPS))
            });
        }
        for (user, member) in &self.members {
            let (in_channel, of_user) = (key.member_row(user), key.membership_row(user));
            match member {
                Some(member) => mutations.extend([put(in_channel, member), put(of_user, member)]),
                None => {
                    mutations.extend([Mutation::Delete(in_channel), Mutation::Delete(of_user)]);
                    mutations.push(Mutation::Delete(self.standing(user).row()));
                }
            }
        }
        if !self.marks.is_empty() {
            mutations.push(put(key.row(&tables::HEADS), &self.head));
        }
    }

    /// Tells the lane what is durable now. After a failure it forgets the channel, because the rows may have been written
    /// all the same.
    pub(crate) fn finish(self, state: &mut State, durable: bool) {
        if !durable || self.record().is_none() {
            state.rosters.remove(&self.key);
            return;
        }
        for (user, member) in &self.members {
            if member.is_none() {
                state.forget_standing(&self.standing(user));
            }
        }
        let Self { key, base, record, members, head, marks, destroyed, count } = self;
        let is_new = base.is_none() || destroyed;
        // Let go of, so that the roster is not copied to be changed.
        drop(base);
        let apply = |roster: &mut Roster| {
            if let Some(record) = record {
                roster.record = record;
            }
            roster.record.member_count = count as u32;
            roster.head.written(head, marks);
            for (user, member) in members {
                match member {
                    Some(member) => drop(roster.members.insert(user, member)),
                    None => drop(roster.members.remove(&user)),
                }
            }
        };
        if is_new {
            let mut roster = Roster { head: Head::default(), ..Roster::default() };
            apply(&mut roster);
            state.rosters.insert(key, Arc::new(roster));
        } else {
            state.rosters.change(&key, apply);
        }
    }

    fn standing(&self, user: &str) -> StandingKey {
        StandingKey::new(self.key.app(), user, &self.key.channel_key())
    }
}

fn list(key: &ChannelRef, list: &'static str) -> Mutation {
    Mutation::Put(Put { key: key.listing_row(list), value: Bytes::new(), expires_in_ms: None })
}
