use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, SLOT_COUNT};

/// 2020-01-01T00:00:00Z in Unix milliseconds: where the time part of a message id starts.
pub const MESSAGE_EPOCH_MS: u64 = 1_577_836_800_000;

const SLOT_BITS: u32 = 10;
const COUNTER_BITS: u32 = 12;

/// The id of a message: 63 bits, decimal on the wire.
///
/// 41 bits of milliseconds since [`MESSAGE_EPOCH_MS`], 10 bits of slot, 12 bits of counter. Ids of one channel rise
/// strictly because one router owns its slot at a time and every id it gives is above its last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub u64);

impl MessageId {
    /// The largest counter value within one millisecond and slot.
    pub const COUNTER_MAX: u16 = (1 << COUNTER_BITS) - 1;

    /// Puts an id together. `unix_ms` before 2020 counts as 2020; the slot must be below 1024.
    pub fn new(unix_ms: u64, slot: u16, counter: u16) -> Self {
        debug_assert!(slot < SLOT_COUNT && counter <= Self::COUNTER_MAX);
        let ms = unix_ms.saturating_sub(MESSAGE_EPOCH_MS) & ((1 << 41) - 1);
        Self((ms << (SLOT_BITS + COUNTER_BITS)) | (u64::from(slot) << COUNTER_BITS) | u64::from(counter))
    }

    /// The lowest id that a message of this instant can have, whatever its slot: a bound for scans by time.
    pub fn floor_of(unix_ms: u64) -> Self {
        Self::new(unix_ms, 0, 0)
    }

    /// The instant in the id, in Unix milliseconds.
    pub fn unix_ms(self) -> u64 {
        (self.0 >> (SLOT_BITS + COUNTER_BITS)) + MESSAGE_EPOCH_MS
    }

    /// The slot in the id.
    pub fn slot(self) -> u16 {
        ((self.0 >> COUNTER_BITS) & u64::from(SLOT_COUNT - 1)) as u16
    }

    /// The lowest id for `slot` that is above `self` and not before `now_ms`; `self` must be an id of the same slot or 0.
    pub fn next(self, now_ms: u64, slot: u16) -> Self {
        let fresh = Self::new(now_ms, slot, 0);
        if fresh > self {
            return fresh;
        }
        let counter = (self.0 & u64::from(Self::COUNTER_MAX)) as u16;
        if counter < Self::COUNTER_MAX {
            Self::new(self.unix_ms(), slot, counter + 1)
        } else {
            Self::new(self.unix_ms() + 1, slot, 0)
        }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for MessageId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse()
            .map(Self)
            .map_err(|_| ErrorKind::InvalidArgument.with("a message id is a decimal number"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_of_today_has_18_or_19_digits_and_fits_63_bits() {
        let id = MessageId::new(1_800_000_000_000, 1023, 4095);
        assert!((18..=19).contains(&id.to_string().len()));
        assert!(id.0 < 1 << 63);
    }

    proptest! {
        #[test]
        fn parts_read_back(ms in MESSAGE_EPOCH_MS..MESSAGE_EPOCH_MS + (1 << 41), slot in 0..SLOT_COUNT, counter in 0u16..4096) {
            let id = MessageId::new(ms, slot, counter);
            prop_assert_eq!(id.unix_ms(), ms);
            prop_assert_eq!(id.slot(), slot);
            prop_assert!(id >= MessageId::floor_of(ms));
        }

        #[test]
        fn ids_rise_strictly_even_when_the_clock_steps_back(
            slot in 0..SLOT_COUNT,
            steps in prop::collection::vec(-50i64..50, 1..200),
        ) {
            let mut now = 1_800_000_000_000i64;
            let mut last = MessageId(0);
            for step in steps {
                now += step;
                let id = last.next(now as u64, slot);
                prop_assert!(id > last);
                prop_assert_eq!(id.slot(), slot);
                last = id;
            }
        }
    }

    #[test]
    fn a_full_counter_moves_into_the_next_millisecond() {
        let mut last = MessageId(0);
        for _ in 0..5000 {
            let id = last.next(1_800_000_000_000, 5);
            assert!(id > last);
            last = id;
        }
        assert_eq!(last.unix_ms(), 1_800_000_000_001);
    }
}
