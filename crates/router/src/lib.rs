//! The router: it gives a channel its order, judges who may write to it, fans out and knows who is present.
//!
//! # One message's way
//!
//! [`RouterService::publish`](bulkhead_api::RouterApi::publish) checks the request and puts it, synchronously, into the
//! queue of the *lane* that owns the channel's slot. Each lane has one worker, which takes all that waits and handles it
//! as one batch: de-duplicate by (user, device, client id), load what is not in memory, judge, give ids, write everything
//! with one durable write, answer the senders, deliver to the gateways. The next batch gathers meanwhile, so that
//! batches grow with the load and a lone message waits for nothing.
//!
//! # What lives where
//!
//! Only a lane's worker writes the rows of conversations and cursors of its channels, so no two writers ever race for
//! one. Pulls and confirmations move cursors in memory; the worker writes them behind, with its next batch or after
//! [`RouterSettings::flush_interval_ms`]. A crash so forgets at most that much proof, and a client drops by its id what
//! it is then given twice.
//!
//! Nothing in memory claims what was not written: a batch works on copies, which replace the cached state after the
//! write, and a failed write drops the cached state that it touched. Ids that were given are never given again.

mod body;
mod cache;
mod channels;
mod confirm;
mod conversation;
mod core;
mod dedup;
mod directory;
mod edit;
mod fanout;
mod forget_user;
mod history;
mod interest;
mod judge;
mod keys;
mod lane;
mod load;
mod log;
mod meta;
mod open_session;
mod person;
mod publish;
mod pull;
mod recall;
mod regain;
mod registry;
mod sequence;
mod service;
mod sessions;
mod settings;
mod signals;
mod slots;
mod status;
mod topics;
mod unread;
mod work;
mod worker;

pub use service::{RouterBus, RouterDependencies, RouterService};
pub use settings::RouterSettings;
