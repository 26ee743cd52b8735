//! A bounded map that forgets what was not used lately, but nothing that is pinned.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Whether a value must stay because it holds something that is nowhere else.
pub(crate) trait Pinned {
    fn pinned(&self) -> bool;
}

/// Two generations: an entry that is used moves to the young one; when that is half of the capacity, the old one is
/// dropped and the young one becomes old. Cheaper than a list in the order of use, and no worse for this.
pub(crate) struct Cache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    capacity: usize,
    forgotten: u64,
}

impl<K: Eq + Hash, V: Pinned> Cache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), capacity, forgotten: 0 }
    }

    /// How often entries were forgotten. Who read a value from the store before this changed may hold one that is
    /// older than what was here in between.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The entry, which counts as used.
    pub(crate) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some((key, value)) = self.old.remove_entry(key) {
            self.young.insert(key, value);
        }
        self.young.get_mut(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.capacity / 2 {
            let old = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            self.young.extend(old.into_iter().filter(|(_, value)| value.pinned()));
            self.forgotten += 1;
        }
        self.young.insert(key, value);
    }

    /// The entry; `value` becomes it when there is none.
    pub(crate) fn get_or_insert(&mut self, key: &K, value: V) -> &mut V
    where
        K: Clone,
    {
        if self.get_mut(key).is_none() {
            self.insert(key.clone(), value);
        }
        self.young.get_mut(key).expect("it was there or was put there")
    }

    pub(crate) fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.forgotten += 1;
        self.old.remove(key);
        self.young.remove(key);
    }

    /// Forgets every entry that `gone` names, pinned or not.
    pub(crate) fn for_each(&self, work: impl FnMut(&V)) {
        self.young.values().chain(self.old.values()).for_each(work);
    }

    pub(crate) fn remove_where(&mut self, gone: impl Fn(&K) -> bool) {
        self.forgotten += 1;
        self.old.retain(|key, _| !gone(key));
        self.young.retain(|key, _| !gone(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Pinned for bool {
        fn pinned(&self) -> bool {
            *self
        }
    }

    #[test]
    fn it_stays_bounded_and_forgets_what_was_not_used() {
        let mut cache = Cache::new(10);
        cache.insert(0, false);
        for key in 1..1000 {
            cache.insert(key, false);
            assert!(cache.get_mut(&0).is_some(), "used all the time");
            assert!(cache.young.len() + cache.old.len() <= 10);
        }
        assert!(cache.get_mut(&1).is_none());
        assert!(cache.forgotten() > 0);
    }

    #[test]
    fn what_is_pinned_stays() {
        let mut cache = Cache::new(10);
        cache.insert(0, true);
        (1..1000).for_each(|key| cache.insert(key, false));
        assert!(cache.get_mut(&0).is_some());
    }
}
