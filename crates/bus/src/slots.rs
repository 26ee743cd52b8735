use std::fmt;

use bulkhead_model::SLOT_COUNT;

const WORDS: usize = SLOT_COUNT as usize / 64;

/// A set of slots.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SlotSet([u64; WORDS]);

impl SlotSet {
    /// Bytes of [`SlotSet::to_bytes`].
    pub const BYTES: usize = WORDS * 8;

    /// The set without a slot.
    pub const fn none() -> Self {
        Self([0; WORDS])
    }

    /// The set of all slots.
    pub const fn all() -> Self {
        Self([u64::MAX; WORDS])
    }

    /// Adds a slot; one beyond the last is ignored.
    pub fn insert(&mut self, slot: u16) {
        if let Some(word) = self.0.get_mut(usize::from(slot) / 64) {
            *word |= 1 << (slot % 64);
        }
    }

    /// Whether the slot is in the set.
    pub fn contains(&self, slot: u16) -> bool {
        self.0.get(usize::from(slot) / 64).is_some_and(|word| word & (1 << (slot % 64)) != 0)
    }

    /// Whether no slot is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How many slots are in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Adds every slot of `other`.
    pub fn add(&mut self, other: &SlotSet) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    /// The slots that are in both sets.
    pub fn common(&self, other: &SlotSet) -> SlotSet {
        let mut both = *self;
        for (word, mask) in both.0.iter_mut().zip(other.0) {
            *word &= mask;
        }
        both
    }

    /// The slots, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..SLOT_COUNT).filter(|slot| self.contains(*slot))
    }

    /// The set as bytes, for the wire between routers.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// Reads [`SlotSet::to_bytes`] back; `None` for another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let mut set = Self::none();
        for (chunk, word) in bytes.as_chunks::<8>().0.iter().zip(&mut set.0) {
            *word = u64::from_be_bytes(*chunk);
        }
        Some(set)
    }
}

impl FromIterator<u16> for SlotSet {
    fn from_iter<I: IntoIterator<Item = u16>>(slots: I) -> Self {
        let mut set = Self::none();
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotSet({} of {SLOT_COUNT})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_added_and_reads_back_from_its_bytes() {
        let set: SlotSet = [0, 63, 64, 1023, 1024].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 1023]);
        assert!(!set.contains(1024) && !set.contains(1));
        assert_eq!(SlotSet::from_bytes(&set.to_bytes()), Some(set));
        assert_eq!(SlotSet::from_bytes(&[0; 127]), None);
        assert_eq!(SlotSet::all().len(), 1024);
    }

    #[test]
    fn sets_are_joined_and_cut() {
        let mut one: SlotSet = [1, 2].into_iter().collect();
        let other: SlotSet = [2, 3].into_iter().collect();
        assert_eq!(one.common(&other).iter().collect::<Vec<_>>(), [2]);
        one.add(&other);
        assert_eq!(one.iter().collect::<Vec<_>>(), [1, 2, 3]);
        assert!(SlotSet::none().is_empty() && !one.is_empty());
    }
}
