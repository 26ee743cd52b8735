//! The connections to the instances of one service. A lane is one connection; calls take the open lanes in turn.
//!
//! A lane is opened by an attempt of its own and not by a call, so a call never waits for, or fails by, an instance that
//! is known to be away as long as another one answers.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::dial::dial;
use super::target::{Target, resolve};
use crate::identity::{Identity, OpenConnection, Service};
use crate::limits::{CONNECT_LIMIT, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_LIMIT, STREAM_WINDOW_BYTES};

/// How often instances that came are looked for, and those that went are left out.
const LANES_INTERVAL: Duration = Duration::from_secs(1);

/// Most connections to one service.
const LANES_MAX: usize = 16;

/// The open lanes to one service; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Lanes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    identity: Identity,
    service: Service,
    targets: Vec<Target>,
    lanes_max: usize,
    open: Mutex<Vec<Lane>>,
    turn: AtomicUsize,
    /// Held by the one call that opens the first lane.
    opening: tokio::sync::Mutex<()>,
    /// Attempts to open the first lane that failed.
    failures: AtomicUsize,
}

#[derive(Debug)]
struct Lane {
    address: SocketAddr,
    channel: Channel,
    connections: Arc<AtomicUsize>,
}

impl Lane {
    fn is_open(&self) -> bool {
        self.connections.load(Ordering::Acquire) > 0
    }
}

impl Lanes {
    pub(super) fn start(identity: Identity, service: Service, targets: Vec<Target>) -> Self {
        let lanes_max = if service == Service::Router { 1 } else { LANES_MAX };
        let may_change = targets.len() > 1 || targets.iter().any(Target::is_a_name);
        let shared = Arc::new(Shared {
            identity,
            service,
            targets,
            lanes_max,
            open: Mutex::default(),
            turn: AtomicUsize::new(0),
            opening: tokio::sync::Mutex::default(),
            failures: AtomicUsize::new(0),
        });
        if may_change && lanes_max > 1 {
            tokio::spawn(look_around(Arc::downgrade(&shared)));
        }
        Self(shared)
    }

    /// A channel with an open connection; opens one when there is none. An error when no instance can be reached.
    pub(crate) async fn channel(&self) -> io::Result<Channel> {
        if let Some(channel) = self.0.next_open() {
            return Ok(channel);
        }
        let failures = self.0.failures.load(Ordering::Acquire);
        let _opening = self.0.opening.lock().await;
        if let Some(channel) = self.0.next_open() {
            return Ok(channel);
        }
        if self.0.failures.load(Ordering::Acquire) != failures {
            // Somebody has just tried while this call waited; it need not wait as long again.
            return Err(io::ErrorKind::NotConnected.into());
        }
        let opened = self.0.open_first().await;
        if opened.is_err() {
            self.0.failures.fetch_add(1, Ordering::AcqRel);
        }
        opened
    }

    /// Opens lanes to the instances that have none, as far as there may be more.
    pub(crate) async fn look_around(&self) {
        self.0.refresh().await;
    }
}

impl Shared {
    fn next_open(&self) -> Option<Channel> {
        let mut open = self.open.lock();
        open.retain(Lane::is_open);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        Some(open.get(turn % open.len().max(1))?.channel.clone())
    }

    /// Opens a lane to the first instance that answers, beginning with another one each time.
    async fn open_first(&self) -> io::Result<Channel> {
        let mut addresses = self.resolve().await?;
        let length = addresses.len().max(1);
        addresses.rotate_left(self.turn.load(Ordering::Relaxed) % length);
        let mut failure = io::ErrorKind::NotFound.into();
        for address in addresses {
            match self.open_lane(address).await {
                Ok(channel) => return Ok(channel),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn open_lane(&self, address: SocketAddr) -> io::Result<Channel> {
        let connections = Arc::new(AtomicUsize::new(0));
        let (identity, service, counter) = (self.identity.clone(), self.service, connections.clone());
        let connector = service_fn(move |_| {
            let (identity, counter) = (identity.clone(), counter.clone());
            async move {
                let stream = dial(&identity, service, address).await?;
                io::Result::Ok(TokioIo::new(stream.counted(OpenConnection::new(counter))))
            }
        });
        let channel = Endpoint::from_static("http://service")
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_LIMIT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(4 * STREAM_WINDOW_BYTES)
            .connect_with_connector(connector)
            .await
            .map_err(io::Error::other)?;
        let lane = Lane { address, channel: channel.clone(), connections };
        self.open.lock().push(lane);
        Ok(channel)
    }

    async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        timeout(CONNECT_LIMIT, resolve(&self.targets)).await?
    }

    /// Leaves out what is gone and opens lanes to what is not there yet. A service that nobody calls is left alone.
    async fn refresh(&self) {
        let has_any = {
            let mut open = self.open.lock();
            open.retain(Lane::is_open);
            !open.is_empty()
        };
        // A name server that does not answer changes nothing.
        let Ok(addresses) = self.resolve().await else { return };
        if !has_any {
            return;
        }
        let missing = {
            let mut open = self.open.lock();
            open.retain(|lane| addresses.contains(&lane.address));
            let is_open = |address: &SocketAddr| open.iter().any(|lane| lane.address == *address);
            let room = self.lanes_max.saturating_sub(open.len());
            addresses.into_iter().filter(|address| !is_open(address)).take(room).collect::<Vec<_>>()
        };
        for address in missing {
            // What cannot be reached was said by the attempt; it is tried again the next time.
            let _ = self.open_lane(address).await;
        }
    }
}

async fn look_around(lanes: Weak<Shared>) {
    loop {
        tokio::time::sleep(LANES_INTERVAL).await;
        let Some(lanes) = lanes.upgrade() else { return };
        lanes.refresh().await;
    }
}
