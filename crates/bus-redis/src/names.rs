//! What things are called in Redis. Everything starts with `bh:`, so that an ACL user needs `~bh:* &bh:*`.

use bulkhead_bus::{SlotSet, Topic};
use bulkhead_model::SLOT_COUNT;
use bytes::Bytes;

use crate::Layout;

/// Slots of a Redis Cluster.
const CLUSTER_SLOTS: u16 = 16_384;

/// Where publishers say which slots they have dropped frames of.
pub(crate) const GAP_CHANNEL: &[u8] = b"bh:gap";

const CHANNEL_PREFIX: &[u8] = b"bh:{";
const REGISTRY_PREFIX: &[u8] = b"bh:r:{";

/// `bh:{slot}` and the topic's name. A cluster places it by what stands in braces.
pub(crate) fn channel_of(topic: &Topic) -> Vec<u8> {
    placed(CHANNEL_PREFIX, topic)
}

/// `bh:r:{slot}` and the topic's name.
pub(crate) fn registry_key_of(topic: &Topic) -> Vec<u8> {
    placed(REGISTRY_PREFIX, topic)
}

/// Reads [`channel_of`] back; the name is copied, so that it keeps nothing else alive.
pub(crate) fn topic_of(channel: &[u8]) -> Option<Topic> {
    let rest = channel.strip_prefix(CHANNEL_PREFIX)?;
    let end = rest.iter().take(5).position(|byte| *byte == b'}')?;
    let slot = std::str::from_utf8(&rest[..end]).ok()?.parse().ok().filter(|slot| *slot < SLOT_COUNT)?;
    Some(Topic::opaque(slot, Bytes::copy_from_slice(&rest[end + 1..])))
}

/// The key that says whose shard it is. In a cluster it lies in the lowest slot of the node.
pub(crate) fn mark_of(layout: Layout, slots: &SlotSet) -> String {
    match (layout, slots.iter().next()) {
        (Layout::Cluster, Some(slot)) => format!("bh:region:{{{slot}}}"),
        _ => "bh:region".to_owned(),
    }
}

/// The slot of a Redis Cluster in which everything of one of our slots lies.
pub(crate) fn cluster_slot_of(slot: u16) -> u16 {
    crc16(slot.to_string().as_bytes()) % CLUSTER_SLOTS
}

fn placed(prefix: &[u8], topic: &Topic) -> Vec<u8> {
    let slot = topic.slot().to_string();
    [prefix, slot.as_bytes(), b"}", topic.name()].concat()
}

/// CRC-16/XMODEM, as the cluster specification says.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use bulkhead_model::AppUuid;

    use super::*;

    #[test]
    fn a_channel_reads_back_with_its_slot() {
        let topics = [
            Topic::user(AppUuid([b'}'; 16]), "alice"),
            Topic::opaque(0, Bytes::from_static(b"{}")),
            Topic::opaque(1023, Bytes::new()),
        ];
        for topic in topics {
            let again = topic_of(&channel_of(&topic)).unwrap();
            assert_eq!((&again, again.slot()), (&topic, topic.slot()));
        }
        for wrong in [&b"bh:gap"[..], b"bh:{1024}x", b"bh:{x}y", b"bh:{", b"other", b"bh:{000001}"] {
            assert_eq!(topic_of(wrong), None);
        }
    }

    #[test]
    fn the_cluster_slot_is_the_one_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        // As `CLUSTER KEYSLOT bh:{512}` answers.
        assert_eq!(cluster_slot_of(512), crc16(b"512") % 16_384);
    }
}
