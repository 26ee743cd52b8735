//! All routers of a region as one [`RouterApi`](bulkhead_api::RouterApi).
//!
//! A publish, a pull and a confirmation go to the router that owns the channel's slot; everything about sessions goes to
//! one router, the *home* of this gateway; what is about users on whatever router they are goes to all of them. Who
//! owns what is asked of the routers themselves, every second and whenever one says that it is not the owner. A slot
//! that moves costs its messages a detour and no error: they wait, in their order, until its new owner has them.

mod detour;
mod home;
mod place;
mod routers;
mod view;

pub use routers::{Dial, Routers};
