//! The way to another service: its addresses, the connections that are open to them, and one face for all.

mod dial;
mod lanes;
mod target;

use bulkhead_model::Result;

use crate::guard::RegionChannel;
use crate::identity::{Identity, Service};
pub(crate) use lanes::Lanes;

/// A service of the same region, at one address or several; cheap to clone.
#[derive(Clone, Debug)]
pub struct Peer {
    pub(crate) channel: RegionChannel,
}

impl Peer {
    /// Makes sure that an instance of the service can be reached and is what it should be; calls nothing. `Unavailable`.
    pub async fn reach(&self) -> Result<()> {
        self.channel.reach().await
    }

    /// The same for every instance: dials those that no connection is open to, so that each has shown who it is.
    pub async fn reach_each(&self) -> Result<()> {
        self.channel.reach().await?;
        self.channel.look_around().await;
        Ok(())
    }
}

/// Prepares the way to a `service`; connects at the first call, and again after a loss. Must be called within a tokio
/// runtime.
///
/// `addresses` is one `https://host:port` or several with commas between them (`http://` for an insecure identity), and
/// a host may have several addresses of its own. They are instances of the same service of the same region: calls are
/// spread over those that can be reached, and an instance that is lost is left out until it answers again. What was on
/// its way to it fails with `Unavailable`, because it may have been done. A router is not spread over: what its callers
/// have open with one instance means nothing to another.
///
/// `InvalidArgument` when it is no list of addresses of that form.
pub fn connect(identity: &Identity, service: Service, addresses: &str) -> Result<Peer> {
    let targets = target::read(addresses, identity.is_insecure())?;
    let lanes = Lanes::start(identity.clone(), service, targets);
    Ok(Peer { channel: RegionChannel::new(lanes, identity.region()) })
}

/// The hosts and ports of a list of addresses as [`connect`] takes it.
pub fn read_addresses(addresses: &str, insecure: bool) -> Result<Vec<(String, u16)>> {
    Ok(target::read(addresses, insecure)?.into_iter().map(target::Target::into_parts).collect())
}
