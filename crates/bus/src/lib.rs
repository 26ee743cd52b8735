//! The bus port: how routers hand live frames to each other.
//!
//! A [`Topic`] is a user or a channel of an app. A router [subscribes](Bus::subscribe) to the topics of the sessions that
//! are attached to it, and the router that owns a channel [publishes](Bus::publish) what happens in it. Frames and
//! losses come out at a [`BusSink`], usually a [bounded queue](queue).
//!
//! The bus may lose frames; the log in storage does not. What the bus promises instead is to *say so*: whoever may have
//! missed a frame gets a [`BusEvent::Gap`] that covers the frame's slot, and then reads the log. The [`Registry`] beside
//! it holds what must vanish when nobody renews it: which router has sessions of a user.
//!
//! [`LocalHub`] is the bus within one process; the crate `bus-redis` is the one between processes. [`SealedBus`] and
//! [`SealedRegistry`] wrap either, so that what lies between routers can neither be read nor attributed. All of them
//! pass the same [`contract`].

mod bus;
#[cfg(feature = "contract")]
#[expect(clippy::unwrap_used, reason = "a check that fails has to panic")]
pub mod contract;
mod keys;
mod local;
mod queue;
mod registry;
mod sealed;
mod slots;
mod subscriptions;
mod topic;

pub use bus::{Bus, BusEvent, BusSink, Frame, PAYLOAD_BYTES_MAX, SUBSCRIPTIONS_MAX, check_payloads};
pub use keys::{BusKey, BusKeys, HOUR_MS};
pub use local::{LocalBus, LocalHub, LocalRegistry};
pub use queue::{BusReceiver, BusSender, queue};
pub use registry::{
    Entry, FIELD_BYTES_MAX, FIELDS_PER_KEY_MAX, REGISTRY_BATCH_MAX, Registry, RegistryPut, TTL_MS_MAX,
    VALUE_BYTES_MAX, check_puts, check_size,
};
pub use sealed::{SealedBus, SealedRegistry, Sealer};
pub use slots::SlotSet;
pub use subscriptions::Subscriptions;
pub use topic::{Topic, TopicKind, TopicParts};
