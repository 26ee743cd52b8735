//! Frames on a TLS connection without WebSocket, as docs/private-transport.md describes them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bulkhead_chassis::{OsEntropy, SystemClock, tls};
use bulkhead_client::{Connection, Credential, Event, Login, Options, RegionAddress, Trust, text_body};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Receiver;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::{Running, dev_json};

const ALPN: &[u8] = b"bulkhead-msync/1";
const HTTP: &[u8] = b"http/1.1";
const PATIENCE: Duration = Duration::from_secs(20);

fn region(folder: &Path) -> Value {
    dev_json(folder)["regions"][0].clone()
}

fn address(region: &Value) -> SocketAddr {
    let (_, address) = region["rest_url"].as_str().unwrap().split_once("://").unwrap();
    address.parse().unwrap()
}

/// Opens a connection that offers these protocols.
async fn connect(folder: &Path, address: SocketAddr, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
    tls::install_provider();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(tls::local_authority_file(folder)).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// The frames that come until the other end closes, as (kind, payload).
async fn until_closed(mut stream: TlsStream<TcpStream>) -> Vec<(u8, Vec<u8>)> {
    let mut bytes = Vec::new();
    // A connection that is cut is as good as one that is closed.
    let _ =
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it is closed in time");
    let (mut frames, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (frame, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        frames.push((frame[0], frame[1..].to_vec()));
        rest = after;
    }
    frames
}

async fn open(url: &str, authority: &Path, app: &Value, user: usize) -> (Connection, Receiver<Event>) {
    let address = RegionAddress::new(url, &Trust::File(authority.to_owned())).unwrap();
    let user = &app["users"][user];
    let login = Login {
        app: app["app_key"].as_str().unwrap().parse().unwrap(),
        user: user["username"].as_str().unwrap().to_owned(),
        credential: Credential::Password(user["password"].as_str().unwrap().to_owned()),
        device: None,
    };
    Connection::open(address, login, Options::default(), &SystemClock, Arc::new(OsEntropy)).await.unwrap()
}

/// One writes to the other, who gets it.
async fn chat(url: &str, authority: &Path, app: &Value) {
    let (sender, _events) = open(url, authority, app, 0).await;
    let (_receiver, mut events) = open(url, authority, app, 1).await;
    let [from, to] = [0, 1].map(|user| app["users"][user]["username"].as_str().unwrap());
    let body = text_body(from, to, "over whatever carries it");
    let sent = sender.deliver(&sender.prepare(to, body)).await.unwrap();
    let arrived = tokio::time::timeout(PATIENCE, async {
        loop {
            // What was sent to an earlier device of the user comes too.
            if let Event::Message(message) = events.recv().await.unwrap()
                && message.id == sent.id
            {
                return message;
            }
        }
    });
    let message = arrived.await.expect("the message in time");
    assert_eq!(message.text(), Some("over whatever carries it"));
}

#[tokio::test]
async fn clients_chat_over_frames_on_tls_and_hostile_frames_end_their_own_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (running, _) = Running::dev(folder.path(), &["--tls"]);
    let region = region(folder.path());
    let (address, tls_folder) = (address(&region), folder.path().join("tls"));
    let url = region["rest_url"].as_str().unwrap();
    chat(url, &tls::local_authority_file(&tls_folder), &region["apps"][0]).await;

    let mut pinged = connect(&tls_folder, address, &[ALPN]).await;
    pinged.write_all(&[0, 0, 0, 3, 1, b'h', b'i']).await.unwrap();
    let mut pong = [0; 7];
    pinged.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong, [0, 0, 0, 3, 2, b'h', b'i'], "a ping is answered");

    let closed = |code: u16| vec![(3, code.to_be_bytes().to_vec())];
    for (bytes, code) in [
        (&[0, 0, 0, 2, 0, 0xFF][..], 1007),
        (&[0xFF, 0xFF, 0xFF, 0xFF, 0], 1009),
        // UNREAD before a login.
        (&[0, 0, 0, 3, 0, 0x40, 1], 1008),
    ] {
        let mut stream = connect(&tls_folder, address, &[ALPN]).await;
        stream.write_all(bytes).await.unwrap();
        assert_eq!(until_closed(stream).await, closed(code), "{bytes:?}");
    }
    let mut stream = connect(&tls_folder, address, &[ALPN]).await;
    stream.write_all(b"GET /websocket HTTP/1.1\r\nHost: chat\r\n\r\n").await.unwrap();
    let frames = until_closed(stream).await;
    assert!(frames.iter().all(|(kind, _)| *kind == 3), "HTTP is no frame: {frames:?}");
    assert_eq!(running.stop().code, 0);
}

#[tokio::test]
async fn a_client_uses_frames_where_the_server_knows_them_and_a_websocket_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (running, _) = Running::dev(folder.path(), &["--tls"]);
    let region = region(folder.path());
    let certificates = tempfile::tempdir().unwrap();
    for (known, uses_frames) in [(&[HTTP, ALPN][..], true), (&[HTTP], false), (&[], false)] {
        let proxy =
            Proxy::start(certificates.path(), known, &folder.path().join("tls"), address(&region)).await;
        chat(&proxy.url, &tls::local_authority_file(certificates.path()), &region["apps"][0]).await;
        let sockets = proxy.carried_frames.load(Ordering::SeqCst);
        assert_eq!(sockets, if uses_frames { 2 } else { 0 }, "where {} protocols are known", known.len());
    }
    assert_eq!(running.stop().code, 0);
}

/// Ends TLS, and begins it again to a region with what was agreed on.
struct Proxy {
    url: String,
    carried_frames: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(certificates: &Path, known: &[&[u8]], region: &Path, behind: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let files = tls::local_certificate(certificates, [127, 0, 0, 1].into()).unwrap();
        let acceptor = TlsAcceptor::from(tls::server_config(&files, known).unwrap().0);
        let carried_frames = Arc::new(AtomicUsize::new(0));
        let (counter, region) = (carried_frames.clone(), region.to_owned());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counter, region) = (acceptor.clone(), counter.clone(), region.clone());
                tokio::spawn(async move {
                    let Ok(mut near) = acceptor.accept(stream).await else { return };
                    let is_frames = near.get_ref().1.alpn_protocol() == Some(ALPN);
                    counter.fetch_add(usize::from(is_frames), Ordering::SeqCst);
                    let mut far = connect(&region, behind, &[if is_frames { ALPN } else { HTTP }]).await;
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { url, carried_frames }
    }
}
