//! What passed between regions.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use bulkhead_testkit::Packet;

/// Packets on the router between the regions; nothing is known of them on loopback addresses.
pub(crate) struct Traffic {
    packets: Option<Vec<Packet>>,
}

impl Traffic {
    pub(crate) fn new(packets: Option<Vec<Packet>>) -> Self {
        Self { packets }
    }

    /// Not one packet.
    pub(crate) fn is_none_at_all(&self) -> Result<()> {
        let bytes = self.bytes(|packet| packet.bytes.len());
        ensure!(bytes.is_empty(), "bytes passed between regions: {bytes:?}");
        Ok(())
    }

    /// Packets that open and close connections at the most.
    pub(crate) fn carries_nothing(&self) -> Result<()> {
        let bytes = self.bytes(|packet| packet.data().len());
        ensure!(bytes.is_empty(), "data passed between regions: {bytes:?}");
        Ok(())
    }

    /// None of these words, and no more than `bytes_max` in either direction.
    pub(crate) fn holds_none_of(&self, words: &[&[u8]], bytes_max: usize) -> Result<()> {
        for word in words {
            let found = self.count_that_contain(word).unwrap_or(0);
            ensure!(found == 0, "{:?} passed between regions", String::from_utf8_lossy(word));
        }
        for (way, bytes) in self.bytes(|packet| packet.data().len()) {
            ensure!(bytes <= bytes_max, "{bytes} bytes passed from {way}");
        }
        Ok(())
    }

    /// How many packets hold this.
    pub(crate) fn count_that_contain(&self, word: &[u8]) -> Option<usize> {
        let packets = self.packets.as_ref()?.iter();
        let holds = |packet: &&Packet| packet.data().windows(word.len()).any(|window| window == word);
        Some(packets.filter(holds).count())
    }

    /// Bytes by where they came from and went to, where there are any. A packet that was forwarded counts twice.
    fn bytes(&self, of: impl Fn(&Packet) -> usize) -> BTreeMap<String, usize> {
        let mut bytes = BTreeMap::new();
        for packet in self.packets.iter().flatten().filter(|packet| of(packet) > 0) {
            *bytes.entry(format!("{} to {}", packet.from, packet.to)).or_default() += of(packet);
        }
        bytes
    }
}
