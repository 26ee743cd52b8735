//! A channel of many in memory: what it is, who is in it, and where its log ends.

use std::collections::HashMap;
use std::sync::Arc;

use bulkhead_proto::records;

use super::key::ChannelRef;
use crate::conversation::{Mark, Marks};

/// Where the log of a channel ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) row: records::Head,
    /// The newest messages, so that a proof somewhere among them counts exactly.
    marks: Marks,
}

impl Head {
    /// As the store has it.
    pub(crate) fn stored(row: records::Head) -> Self {
        Self { row, marks: Marks::default() }
    }

    /// Takes in a row that is durable now.
    pub(crate) fn written(&mut self, row: records::Head, marks: impl IntoIterator<Item = Mark>) {
        self.row = row;
        self.marks.extend(marks);
    }

    /// How many chat messages there were up to an id: exact for the newest, a lower bound or nothing for older ones.
    pub(crate) fn incoming_at(&self, id: u64) -> Option<u64> {
        if id >= self.row.last_id { Some(self.row.incoming) } else { self.marks.incoming_at(id) }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    pub(crate) record: records::Channel,
    pub(crate) head: Head,
    pub(crate) members: HashMap<Box<str>, records::Member>,
}

impl Roster {
    /// What it weighs against the bound: its members and something for itself.
    fn weight(&self) -> usize {
        self.members.len() + 1
    }
}

/// The rosters of a lane, bounded by the number of members in all of them. Two generations, like [`crate::cache::Cache`].
///
/// Only the lane's worker puts rosters in and changes them; others look.
pub(crate) struct Rosters {
    young: HashMap<ChannelRef, Arc<Roster>>,
    old: HashMap<ChannelRef, Arc<Roster>>,
    young_weight: usize,
    weight_max: usize,
}

impl Rosters {
    pub(crate) fn new(members_max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_weight: 0, weight_max: members_max }
    }

    /// Looks without making it count as used.
    pub(crate) fn get(&self, key: &ChannelRef) -> Option<&Roster> {
        self.young.get(key).or_else(|| self.old.get(key)).map(Arc::as_ref)
    }

    /// The roster, which counts as used.
    pub(crate) fn take_part(&mut self, key: &ChannelRef) -> Option<Arc<Roster>> {
        if let Some((key, roster)) = self.old.remove_entry(key) {
            self.insert(key, roster);
        }
        self.young.get(key).cloned()
    }

    pub(crate) fn insert(&mut self, key: ChannelRef, roster: Arc<Roster>) {
        self.remove(&key);
        if self.young_weight >= self.weight_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_weight = 0;
        }
        self.young_weight += roster.weight();
        self.young.insert(key, roster);
    }

    /// Changes a roster; one that nobody else holds is not copied.
    pub(crate) fn change(&mut self, key: &ChannelRef, work: impl FnOnce(&mut Roster)) {
        if let Some((key, roster)) = self.old.remove_entry(key) {
            self.insert(key, roster);
        }
        if let Some(roster) = self.young.get_mut(key) {
            let before = roster.weight();
            work(Arc::make_mut(roster));
            self.young_weight = (self.young_weight + roster.weight()).saturating_sub(before);
        }
    }

    /// The rooms among them.
    pub(crate) fn rooms(&self) -> Vec<ChannelRef> {
        self.young.keys().chain(self.old.keys()).filter(|key| key.is_room()).cloned().collect()
    }

    pub(crate) fn remove(&mut self, key: &ChannelRef) {
        self.old.remove(key);
        if let Some(roster) = self.young.remove(key) {
            self.young_weight = self.young_weight.saturating_sub(roster.weight());
        }
    }

    pub(crate) fn remove_where(&mut self, gone: impl Fn(&ChannelRef) -> bool) {
        self.old.retain(|key, _| !gone(key));
        self.young.retain(|key, _| !gone(key));
        self.young_weight = self.young.values().map(|roster| roster.weight()).sum();
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.young_weight = 0;
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_model::AppUuid;

    use super::*;

    fn key(number: usize) -> ChannelRef {
        ChannelRef::new(AppUuid([1; 16]), format!("g:{number}").as_bytes())
    }

    fn roster(members: usize) -> Arc<Roster> {
        let member = |number: usize| (format!("u{number}").into(), records::Member::default());
        Arc::new(Roster { members: (0..members).map(member).collect(), ..Roster::default() })
    }

    #[test]
    fn rosters_are_bounded_by_their_members_and_what_is_used_stays() {
        let mut rosters = Rosters::new(100);
        rosters.insert(key(0), roster(5));
        for number in 1..200 {
            rosters.insert(key(number), roster(9));
            assert!(rosters.take_part(&key(0)).is_some(), "used all the time");
            let weight: usize = rosters.young.values().chain(rosters.old.values()).map(|r| r.weight()).sum();
            assert!(weight <= 130, "{weight}");
        }
        assert!(rosters.get(&key(1)).is_none());
    }

    #[test]
    fn a_roster_that_grows_weighs_more() {
        let mut rosters = Rosters::new(100);
        rosters.insert(key(0), roster(0));
        rosters.change(&key(0), |mine| *mine = Roster::clone(&roster(60)));
        rosters.insert(key(1), roster(0));
        assert!(rosters.old.contains_key(&key(0)));
    }
}
