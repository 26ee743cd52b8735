use bulkhead_model::{ErrorKind, Region, Result};
use tonic::transport::Endpoint;

use crate::guard::RegionChannel;
use crate::limits::{CONNECT_LIMIT, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_LIMIT, STREAM_WINDOW_BYTES};

/// A service of the same region at an address; cheap to clone.
#[derive(Clone, Debug)]
pub struct Peer {
    pub(crate) channel: RegionChannel,
}

/// Prepares the way to a service at `url` (`http://host:port`); connects at the first call, and again after a loss.
/// `InvalidArgument` when it is no address. Must be called within a tokio runtime.
pub fn connect(region: Region, url: &str) -> Result<Peer> {
    let wrong = || ErrorKind::InvalidArgument.with(format!("{url} is no http://host:port address"));
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| wrong())?;
    if endpoint.uri().scheme_str() != Some("http") || endpoint.uri().authority().is_none() {
        return Err(wrong());
    }
    let channel = endpoint
        .connect_timeout(CONNECT_LIMIT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_LIMIT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(4 * STREAM_WINDOW_BYTES)
        .connect_lazy();
    Ok(Peer { channel: RegionChannel::new(channel, region) })
}
