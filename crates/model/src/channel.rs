use std::fmt;

use crate::{AppUuid, Error, ErrorKind, username_is_legal};

/// How many slots a region's channels are spread over; a slot is the unit of placement.
pub const SLOT_COUNT: u16 = 1024;

/// How many ranges the slots are handed out in.
pub const SLOT_RANGE_COUNT: u16 = 64;

/// The range of slots that a slot belongs to, below [`SLOT_RANGE_COUNT`].
pub fn range_of(slot: u16) -> u16 {
    slot % SLOT_COUNT / (SLOT_COUNT / SLOT_RANGE_COUNT)
}

/// The four kinds of channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    Direct,
    Group,
    Room,
    Thread,
}

/// The unit of isolation, order and fan-out.
///
/// A direct channel is named by its two users in alphabetical order, so that both sides find the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    Direct(String, String),
    Group(String),
    Room(String),
    Thread(String),
}

impl Channel {
    /// The direct channel of two users (which may be the same user).
    pub fn direct(one: &str, other: &str) -> Self {
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        Channel::Direct(low.to_owned(), high.to_owned())
    }

    /// The kind of this channel.
    pub fn kind(&self) -> ChannelKind {
        match self {
            Channel::Direct(..) => ChannelKind::Direct,
            Channel::Group(_) => ChannelKind::Group,
            Channel::Room(_) => ChannelKind::Room,
            Channel::Thread(_) => ChannelKind::Thread,
        }
    }

    /// The storage key: `d:alice:bob`, `g:1`, `r:1`, `t:1`. Unambiguous because no name holds a colon.
    pub fn key(&self) -> String {
        self.to_string()
    }

    /// Reads a storage key back.
    pub fn from_key(key: &str) -> Result<Self, Error> {
        let wrong = || ErrorKind::InvalidArgument.with("not a channel key");
        let (kind, rest) = key.split_once(':').ok_or_else(wrong)?;
        match kind {
            "d" => {
                let (one, other) = rest.split_once(':').ok_or_else(wrong)?;
                if !username_is_legal(one) || !username_is_legal(other) || one > other {
                    return Err(wrong());
                }
                Ok(Channel::Direct(one.to_owned(), other.to_owned()))
            }
            _ if !username_is_legal(rest) => Err(wrong()),
            "g" => Ok(Channel::Group(rest.to_owned())),
            "r" => Ok(Channel::Room(rest.to_owned())),
            "t" => Ok(Channel::Thread(rest.to_owned())),
            _ => Err(wrong()),
        }
    }

    /// The other side of a direct channel as `user` sees it; `None` for other kinds or when `user` is not in it.
    pub fn peer_of(&self, user: &str) -> Option<&str> {
        match self {
            Channel::Direct(one, other) if one == user => Some(other),
            Channel::Direct(one, other) if other == user => Some(one),
            _ => None,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Channel::Direct(one, other) => write!(f, "d:{one}:{other}"),
            Channel::Group(id) => write!(f, "g:{id}"),
            Channel::Room(id) => write!(f, "r:{id}"),
            Channel::Thread(id) => write!(f, "t:{id}"),
        }
    }
}

/// The slot that places a channel: FNV-1a of app and channel key, modulo [`SLOT_COUNT`].
///
/// The function is part of the on-disk format (message ids carry the slot), so it must never change.
pub fn slot_of(app: AppUuid, channel_key: &str) -> u16 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = app
        .0
        .iter()
        .chain(channel_key.as_bytes())
        .fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    // The low bits of FNV are its weakest; fold the high half in before the cut.
    ((hash ^ (hash >> 32)) % u64::from(SLOT_COUNT)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_users_find_the_same_direct_channel() {
        assert_eq!(Channel::direct("bob", "alice"), Channel::direct("alice", "bob"));
        let channel = Channel::direct("bob", "alice");
        assert_eq!(channel.key(), "d:alice:bob");
        assert_eq!(channel.peer_of("bob"), Some("alice"));
        assert_eq!(channel.peer_of("carol"), None);
        assert_eq!(Channel::direct("bob", "bob").peer_of("bob"), Some("bob"));
    }

    #[test]
    fn every_kind_reads_back_from_its_key() {
        for channel in [
            Channel::direct("a", "b"),
            Channel::Group("1".into()),
            Channel::Room("2".into()),
            Channel::Thread("3".into()),
        ] {
            assert_eq!(Channel::from_key(&channel.key()).unwrap(), channel);
        }
        for wrong in ["", "d:a", "d:b:a", "x:1", "g:", "g:A", "d:a:b:c"] {
            assert!(Channel::from_key(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn slots_stay_where_they_are_and_spread_evenly() {
        let app = AppUuid([7; 16]);
        assert_eq!(slot_of(app, "d:alice:bob"), slot_of(app, "d:alice:bob"));
        let mut counts = vec![0u32; usize::from(SLOT_COUNT)];
        for n in 0..102_400 {
            counts[usize::from(slot_of(app, &format!("g:{n}")))] += 1;
        }
        assert!(counts.iter().all(|count| (40..=180).contains(count)), "uneven: {:?}", counts.iter().max());
    }
}
