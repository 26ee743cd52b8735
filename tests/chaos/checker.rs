//! Judges what happened to the messages of one conversation.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

/// A message as somebody saw it: its id and its text.
pub(crate) type Seen = (u64, String);

/// What is known of one conversation in the end.
#[derive(Clone, Default)]
pub(crate) struct Story {
    /// In the order in which they were sent; every one was acknowledged.
    pub(crate) acknowledged: Vec<Seen>,
    /// In the order in which the receiver was given them.
    pub(crate) received: Vec<Seen>,
    /// From old to new.
    pub(crate) history: Vec<Seen>,
}

impl Story {
    /// Nothing that was acknowledged is lost, nothing is there or was delivered twice, and everybody has one order.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(rises(&self.acknowledged), "acknowledged ids do not rise");
        ensure!(rises(&self.history), "the history is not in the order of its ids");
        let acknowledged: BTreeSet<&Seen> = self.acknowledged.iter().collect();
        let history: BTreeSet<&Seen> = self.history.iter().collect();
        let lost: Vec<_> = acknowledged.difference(&history).take(5).collect();
        ensure!(lost.is_empty(), "acknowledged and not in the history: {lost:?}");
        let texts: BTreeSet<&String> = self.history.iter().map(|(_, text)| text).collect();
        ensure!(texts.len() == self.history.len(), "a message is in the history twice");
        let received: BTreeSet<&Seen> = self.received.iter().collect();
        ensure!(received.len() == self.received.len(), "a message was delivered twice");
        let missing: Vec<_> = acknowledged.difference(&received).take(5).collect();
        ensure!(missing.is_empty(), "acknowledged and never delivered: {missing:?}");
        ensure!(received.is_subset(&history), "delivered and not in the history");
        ensure!(rises(&self.received), "delivered in another order than the history has");
        Ok(())
    }

    /// Whether the receiver has everything.
    pub(crate) fn is_complete(&self) -> bool {
        self.received.len() >= self.acknowledged.len()
    }
}

fn rises(seen: &[Seen]) -> bool {
    seen.is_sorted_by(|(one, _), (next, _)| one < next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story() -> Story {
        let all: Vec<Seen> = (1..=5).map(|id| (id, format!("text {id}"))).collect();
        Story { acknowledged: all.clone(), received: all.clone(), history: all }
    }

    #[test]
    fn a_good_story_is_accepted() {
        story().check().unwrap();
        let mut early = story();
        early.acknowledged.pop();
        early.check().unwrap();
    }

    #[test]
    fn a_loss_a_duplicate_and_a_reordering_are_found() {
        let planted: [fn(&mut Story); 7] = [
            |story| drop(story.history.remove(2)),
            |story| drop(story.received.remove(2)),
            |story| story.history.push((9, "text 3".to_owned())),
            |story| story.received.push(story.received[4].clone()),
            |story| story.received.swap(1, 2),
            |story| story.history.swap(1, 2),
            |story| story.acknowledged.swap(0, 4),
        ];
        for (number, plant) in planted.into_iter().enumerate() {
            let mut story = story();
            plant(&mut story);
            assert!(story.check().is_err(), "plant {number} was not found");
        }
    }
}
