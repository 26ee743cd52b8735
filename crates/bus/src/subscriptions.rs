use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bulkhead_model::{ErrorKind, Result};

use crate::Topic;

/// How many holders each topic has; for implementations.
#[derive(Debug)]
pub struct Subscriptions {
    counts: HashMap<Topic, u64>,
    topics_max: usize,
}

impl Subscriptions {
    /// No topic yet, and at most `topics_max` at a time.
    pub fn new(topics_max: usize) -> Self {
        Self { counts: HashMap::new(), topics_max }
    }

    /// Counts one more holder of each; answers the topics that had none. `RateLimited` over the limit, without a change.
    pub fn add(&mut self, topics: Vec<Topic>) -> Result<Vec<Topic>> {
        let new = topics.iter().filter(|topic| !self.counts.contains_key(*topic)).count();
        if self.counts.len() + new > self.topics_max {
            return Err(ErrorKind::RateLimited.with("too many subscriptions of the bus"));
        }
        let mut first = Vec::new();
        for topic in topics {
            let count = self.counts.entry(topic.clone()).or_default();
            *count += 1;
            if *count == 1 {
                first.push(topic);
            }
        }
        Ok(first)
    }

    /// Counts one holder less of each; answers the topics that have none any more.
    pub fn remove(&mut self, topics: Vec<Topic>) -> Vec<Topic> {
        let mut last = Vec::new();
        for topic in topics {
            if let Entry::Occupied(mut count) = self.counts.entry(topic.clone()) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                    last.push(topic);
                }
            }
        }
        last
    }

    /// Whether the topic has a holder.
    pub fn contains(&self, topic: &Topic) -> bool {
        self.counts.contains_key(topic)
    }

    /// Every topic that has a holder.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.counts.keys()
    }

    /// How many topics have a holder.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether no topic has a holder.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_model::AppUuid;

    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::user(AppUuid([1; 16]), name)
    }

    #[test]
    fn the_first_and_the_last_holder_are_told() {
        let mut subscriptions = Subscriptions::new(2);
        assert_eq!(subscriptions.add(vec![topic("a"), topic("a")]).unwrap(), [topic("a")]);
        assert_eq!(subscriptions.add(vec![topic("a"), topic("b")]).unwrap(), [topic("b")]);
        assert_eq!(subscriptions.remove(vec![topic("a"), topic("a"), topic("c")]), []);
        assert_eq!(subscriptions.remove(vec![topic("a"), topic("b")]), [topic("a"), topic("b")]);
        assert!(subscriptions.is_empty());
    }

    #[test]
    fn over_the_limit_nothing_changes() {
        let mut subscriptions = Subscriptions::new(1);
        subscriptions.add(vec![topic("a")]).unwrap();
        let error = subscriptions.add(vec![topic("a"), topic("b")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(subscriptions.remove(vec![topic("a")]), [topic("a")]);
    }
}
