//! The words of Bulkhead as types.
//!
//! Everything here is a value: a [`Region`], an [`AppKey`], a [`Channel`], a [`MessageId`], an [`Error`]. Nothing reads
//! a clock, a file or a socket; time and randomness come in through [`Clock`] and [`Entropy`], so that every decision
//! made with these types can be repeated in a test.

mod app;
mod channel;
mod clock;
mod entropy;
mod error;
pub mod limits;
mod message_id;
mod plan;
mod region;
mod username;

pub use app::{AppId, AppKey, AppUuid};
pub use channel::{Channel, ChannelKind, SLOT_COUNT, SLOT_RANGE_COUNT, range_of, slot_of};
pub use clock::{Clock, ManualClock};
pub use entropy::{Entropy, SeededEntropy};
pub use error::{Error, ErrorKind, Result};
pub use message_id::{MESSAGE_EPOCH_MS, MessageId};
pub use plan::Plan;
pub use region::Region;
pub use username::{USERNAME_BYTES_MAX, fold_username, username_is_legal};
