use std::sync::Arc;
use std::time::Duration;

use bulkhead_bus::SlotSet;
use bulkhead_model::SLOT_COUNT;

use super::discover;
use crate::bus::note;
use crate::core::{Core, Places};
use crate::shard::Shard;

/// How often the layout is asked for without a hint.
const REFRESH_EVERY: Duration = Duration::from_secs(10);

/// Pause after each question, so that hints cannot become a flood.
const REFRESH_PAUSE: Duration = Duration::from_millis(200);

/// Follows the cluster's layout until the bus is stopped. `seeds` are the configured addresses.
pub(crate) async fn follow(core: Arc<Core>, seeds: Vec<String>) {
    let stop = core.stop.clone();
    let follow = async {
        loop {
            // A hint or the time: either way the layout is asked for.
            let _ = tokio::time::timeout(REFRESH_EVERY, core.moved.notified()).await;
            refresh(&core, &seeds).await;
            tokio::time::sleep(REFRESH_PAUSE).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = follow => {}
    }
}

async fn refresh(core: &Arc<Core>, seeds: &[String]) {
    // Nodes that serve us first: they are alive.
    let places = core.places();
    let (alive, away): (Vec<&Arc<Shard>>, Vec<_>) =
        places.shards.iter().partition(|shard| shard.commands.read().is_some());
    let known = alive.into_iter().chain(away).map(|shard| &shard.address);
    let addresses: Vec<String> = known.chain(seeds).cloned().collect();
    match discover(&core.connector, &addresses).await {
        Ok(homes) => adopt(core, &places, homes).await,
        Err(error) => tracing::warn!(%error, "no node of the bus's cluster tells the layout"),
    }
}

/// Moves subscriptions to where the slots are now. A slot that nobody has stays where it was.
async fn adopt(core: &Arc<Core>, before: &Places, homes: Vec<(String, SlotSet)>) {
    let mut shards = before.shards.clone();
    let mut of_slot = before.of_slot.clone();
    let mut new_shards = Vec::new();
    for (address, slots) in homes {
        let index = match shards.iter().position(|shard| shard.address == address) {
            Some(index) => index,
            None => {
                let shard = Shard::new(address, SlotSet::none(), core.stop.child_token());
                new_shards.push(shard.clone());
                shards.push(shard);
                shards.len() - 1
            }
        };
        for slot in slots.iter() {
            of_slot[usize::from(slot)] = index;
        }
    }
    let moved: SlotSet = (0..SLOT_COUNT)
        .filter(|slot| of_slot[usize::from(*slot)] != before.of_slot[usize::from(*slot)])
        .collect();
    if moved.is_empty() {
        return;
    }
    tracing::info!(slots = moved.len(), "slots of the bus's cluster have moved");
    for (index, shard) in shards.iter().enumerate() {
        shard.set_slots((0..SLOT_COUNT).filter(|slot| of_slot[usize::from(*slot)] == index).collect());
    }
    let after = Arc::new(without_empty(shards, of_slot));
    *core.places.write() = after.clone();
    for shard in &new_shards {
        shard.start_later(core);
    }
    let topics = core.wanted_in(&moved);
    for shard in &before.shards {
        // Where they were they end; a shard without slots is stopped as a whole.
        shard.wishes.note(topics.clone());
    }
    for waiter in note(&after, &moved, topics) {
        let _ = waiter.await;
    }
    core.sink.gap(&moved);
}

fn without_empty(shards: Vec<Arc<Shard>>, of_slot: Vec<usize>) -> Places {
    let mut kept = Vec::new();
    let mut new_index = vec![0; shards.len()];
    for (index, shard) in shards.into_iter().enumerate() {
        if shard.slots().is_empty() {
            shard.stop.cancel();
        } else {
            new_index[index] = kept.len();
            kept.push(shard);
        }
    }
    Places { shards: kept, of_slot: of_slot.into_iter().map(|index| new_index[index]).collect() }
}
