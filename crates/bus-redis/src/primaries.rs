use bulkhead_bus::SlotSet;
use bulkhead_model::SLOT_COUNT;

/// Which slots lie on which of several primaries, in the order of the addresses: each slot goes to the address that
/// scores highest with it. An address that is added or taken away moves only the slots that it wins or had.
pub(crate) fn place(addresses: &[String]) -> Vec<SlotSet> {
    let mut sets = vec![SlotSet::none(); addresses.len()];
    for slot in 0..SLOT_COUNT {
        let best =
            (0..addresses.len()).max_by_key(|index| (score(&addresses[*index], slot), &addresses[*index]));
        if let Some(best) = best {
            sets[best].insert(slot);
        }
    }
    sets
}

/// FNV-1a of address and slot, mixed once more (splitmix64) because its high bits are what is compared. Every node of a
/// region must agree on it.
fn score(address: &str, slot: u16) -> u64 {
    let hash = address.bytes().chain(slot.to_be_bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("redis://redis-{n}:6379")).collect()
    }

    #[test]
    fn slots_spread_evenly_and_each_lies_once() {
        for count in [1, 2, 3, 8] {
            let sets = place(&addresses(count));
            let share = usize::from(SLOT_COUNT) / count;
            assert!(sets.iter().all(|set| (share * 3 / 4..=share * 5 / 4).contains(&set.len())), "{sets:?}");
            assert_eq!(sets.iter().map(SlotSet::len).sum::<usize>(), usize::from(SLOT_COUNT));
        }
    }

    #[test]
    fn the_order_of_the_addresses_does_not_matter_and_a_further_one_moves_only_what_it_wins() {
        let three = place(&addresses(3));
        let mut turned = addresses(3);
        turned.reverse();
        let mut turned = place(&turned);
        turned.reverse();
        assert_eq!(three, turned);
        let four = place(&addresses(4));
        for (before, after) in three.iter().zip(&four) {
            assert_eq!(before.common(after), *after, "a slot moved between two that stayed");
        }
    }
}
