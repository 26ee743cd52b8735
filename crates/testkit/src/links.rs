use std::io;
use std::sync::Arc;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// Bytes that one direction of a connection holds at most.
const BUFFER_BYTES: usize = 64 * 1024;

/// Links between processes of this machine. Each is a port that leads to another port; a test can cut it.
pub(crate) struct Links {
    runtime: Runtime,
}

/// The way to one port. Whatever goes over it does not notice, until the test cuts it.
#[derive(Clone)]
pub struct Link {
    port: u16,
    state: Arc<watch::Sender<State>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Connections stay and nothing arrives; what was sent meanwhile arrives when the link is whole again, as with a network
    /// that loses every packet for a while.
    Silent,
    /// Connections are reset, old ones and new ones.
    Broken,
}

impl Links {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { runtime: Builder::new_multi_thread().worker_threads(1).enable_all().build()? })
    }

    /// A new port that leads to `port`.
    pub(crate) fn to(&self, port: u16) -> Result<Link> {
        let listener = self.runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let link =
            Link { port: listener.local_addr()?.port(), state: Arc::new(watch::Sender::new(State::Open)) };
        let state = link.state.clone();
        self.runtime.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connect(near, port, state.subscribe()));
            }
        });
        Ok(link)
    }
}

impl Link {
    /// Where it begins.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Nothing arrives any more and connections stay open.
    pub fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Every connection is reset, and every new one at once.
    pub fn reset(&self) {
        self.state.send_replace(State::Broken);
    }

    /// As before; what was sent in silence arrives now.
    pub fn mend(&self) {
        self.state.send_replace(State::Open);
    }
}

async fn connect(near: TcpStream, port: u16, mut state: watch::Receiver<State>) {
    let mut opening = state.clone();
    let whole = async move {
        wait_until_open(&mut opening).await?;
        let far = TcpStream::connect(("127.0.0.1", port)).await?;
        far.set_nodelay(true)?;
        io::Result::Ok(far)
    };
    let far = tokio::select! {
        far = whole => far,
        () = until_broken(&mut state) => Err(io::ErrorKind::ConnectionReset.into()),
    };
    let _ = near.set_nodelay(true);
    let Ok(far) = far else {
        let _ = near.set_zero_linger();
        return;
    };
    let (mut near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    let is_broken = {
        let forth = pump(&mut near_in, &mut far_out, state.clone());
        let back = pump(&mut far_in, &mut near_out, state.clone());
        let both = async { tokio::join!(forth, back) };
        tokio::select! {
            _ = both => false,
            () = until_broken(&mut state) => true,
        }
    };
    if is_broken {
        // Without lingering a close is a reset, unless the end of what is written was told before.
        let _ = near_in.as_ref().set_zero_linger();
        let _ = far_in.as_ref().set_zero_linger();
        near_out.forget();
        far_out.forget();
    }
}

/// Passes on what comes, while the link is open, until the end of it.
async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await;
        wait_until_open(&mut state).await?;
        match read {
            Ok(length) if length > 0 => to.write_all(&buffer[..length]).await?,
            _ => return to.shutdown().await,
        }
    }
}

async fn wait_until_open(state: &mut watch::Receiver<State>) -> io::Result<()> {
    let open = state.wait_for(|state| *state == State::Open).await;
    open.map(drop).map_err(|_| io::ErrorKind::ConnectionAborted.into())
}

async fn until_broken(state: &mut watch::Receiver<State>) {
    let _ = state.wait_for(|state| *state == State::Broken).await;
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    fn a_link() -> (Links, Link, TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let links = Links::new().unwrap();
        let link = links.to(listener.local_addr().unwrap().port()).unwrap();
        let near = TcpStream::connect(("127.0.0.1", link.port())).unwrap();
        let (far, _) = listener.accept().unwrap();
        far.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        near.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (links, link, near, far)
    }

    #[test]
    fn what_is_sent_into_a_silent_link_arrives_when_it_is_mended() {
        let (_links, link, mut near, mut far) = a_link();
        let mut buffer = [0; 3];
        near.write_all(b"one").unwrap();
        far.read_exact(&mut buffer).unwrap();
        link.silence();
        near.write_all(b"two").unwrap();
        assert!(far.read_exact(&mut buffer).is_err(), "it was not silent");
        link.mend();
        far.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        far.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"two");
        far.write_all(b"end").unwrap();
        near.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"end");
    }

    #[test]
    fn a_broken_link_resets_its_connections_and_every_new_one() {
        let (_links, link, mut near, _far) = a_link();
        link.reset();
        let error = near.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let mut fresh = TcpStream::connect(("127.0.0.1", link.port())).unwrap();
        fresh.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(fresh.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
