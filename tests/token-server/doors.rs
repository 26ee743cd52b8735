//! The ways in beside loopback: a Unix socket, and mutual TLS.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use bulkhead_testkit::{Composition, TestRegion, free_ports};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::server::{TokenServer, write_secret};
use crate::wire::{Answer, Door, Request};

#[test]
fn a_unix_socket_is_for_its_user_and_group_and_one_that_a_crash_left_is_replaced() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("token-server.sock");
        let listen = format!("listen = \"unix:{}\"", path.display());
        let mut server = TokenServer::start_at(&region, Door::Unix(path.clone()), &listen).await?;
        ensure!(fs::metadata(&path)?.permissions().mode() & 0o777 == 0o660, "{:?}", fs::metadata(&path)?);
        let username = server.token_of("a").await?.username;
        let caller = format!("caller=uid:{}", own_uid()?);
        ensure!(server.log().contains(&caller), "{}", server.log());
        server.kill()?;
        ensure!(path.exists(), "a killed process leaves its socket");
        server.start_again().await?;
        ensure!(server.token_of("a").await?.username == username, "another name");
        server.stop()?;
        ensure!(!path.exists(), "a stopped process leaves its socket");
        Ok(())
    });
}

/// The user of this process, as the kernel tells it to the other end of a socket.
fn own_uid() -> Result<u32> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata("/proc/self")?.uid())
}

/// An authority, and certificates of it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// A certificate and its key, as PEM.
    fn issue(&self, names: &[SanType]) -> Result<(String, String)> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.subject_alt_names = names.to_vec();
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }
}

fn dns(name: &str) -> Result<SanType> {
    Ok(SanType::DnsName(name.try_into()?))
}

fn uri(name: &str) -> Result<SanType> {
    Ok(SanType::URI(name.try_into()?))
}

/// Calls with a certificate, or without one; fails when the handshake does.
async fn call(server: &TokenServer, trusted: &str, own: Option<&(String, String)>) -> Result<Answer> {
    let Door::Mutual(address, _) = &server.door else { unreachable!("a server with mutual TLS") };
    Request::new("POST", "/v1/tokens/app").send_over(connect(*address, trusted, own).await?).await
}

pub(crate) async fn connect(
    address: std::net::SocketAddr,
    trusted: &str,
    own: Option<&(String, String)>,
) -> Result<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + use<>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes())?)?;
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => config.with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes())?],
            PrivateKeyDer::from_pem_slice(key.as_bytes())?,
        )?,
    };
    let connector = TlsConnector::from(Arc::new(config));
    Ok(connector.connect(ServerName::try_from("localhost")?, TcpStream::connect(address).await?).await?)
}

/// Writes the server's side and starts it at every address of this machine.
async fn start(region: &TestRegion, folder: &Path, authority: &Authority) -> Result<TokenServer> {
    let own = authority.issue(&[dns("localhost")?])?;
    let caller = authority.issue(&[dns("backend.shop.example")?])?;
    fs::write(folder.join("server.pem"), &own.0)?;
    write_secret(&folder.join("server.key"), &own.1)?;
    fs::write(folder.join("clients.pem"), &authority.pem)?;
    let [port] = free_ports(Ipv4Addr::UNSPECIFIED)?;
    let folder = folder.display();
    let settings = format!(
        "listen = \"0.0.0.0:{port}\"\ntls_certificate_file = \"{folder}/server.pem\"\n\
         tls_key_file = \"{folder}/server.key\"\nclient_ca_file = \"{folder}/clients.pem\"\n\
         client_names = [\"backend.shop.example\", \"spiffe://shop.example/backend\"]"
    );
    let door = Door::Mutual(([127, 0, 0, 1], port).into(), Box::new((authority.pem.clone(), caller)));
    TokenServer::start_at(region, door, &settings).await
}

#[test]
fn over_mutual_tls_a_listed_name_is_served_and_nobody_else() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let folder = tempfile::tempdir()?;
        let (authority, stranger) = (Authority::new()?, Authority::new()?);
        let server = start(&region, folder.path(), &authority).await?;
        let trusted = &authority.pem;
        for names in [
            vec![dns("backend.shop.example")?],
            vec![uri("spiffe://shop.example/backend")?],
            vec![dns("other.example")?, dns("backend.shop.example")?],
        ] {
            call(&server, trusted, Some(&authority.issue(&names)?)).await?.ok()?;
        }
        for names in [
            vec![dns("shop.example")?],
            vec![dns("evil.backend.shop.example")?],
            vec![dns("backend.shop.example.evil.example")?],
            vec![uri("spiffe://shop.example/backend2")?],
            vec![],
        ] {
            let refused = call(&server, trusted, Some(&authority.issue(&names)?)).await;
            ensure!(refused.is_err(), "{names:?} was served");
        }
        let of_another = stranger.issue(&[dns("backend.shop.example")?])?;
        ensure!(call(&server, trusted, Some(&of_another)).await.is_err(), "another authority was believed");
        ensure!(call(&server, trusted, None).await.is_err(), "a caller without a certificate was served");
        let Door::Mutual(address, _) = &server.door else { unreachable!("a server with mutual TLS") };
        let in_clear = Request::get("/healthz").send(&Door::Tcp(*address)).await;
        ensure!(in_clear.is_err(), "a caller in clear was served");
        ensure!(server.log().contains("caller=backend.shop.example"), "no audit: {}", server.log());
        ensure!(server.log().contains("token_server.client_names has none"), "the refusal is not logged");
        Ok(())
    });
}

#[test]
fn new_certificates_of_mutual_tls_are_taken_without_a_restart() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let folder = tempfile::tempdir()?;
        let (old, new) = (Authority::new()?, Authority::new()?);
        let server = start(&region, folder.path(), &old).await?;
        let caller = new.issue(&[dns("backend.shop.example")?])?;
        ensure!(
            call(&server, &old.pem, Some(&caller)).await.is_err(),
            "the new authority is believed already"
        );
        fs::write(folder.path().join("clients.pem"), &new.pem)?;
        crate::until("the new authority is believed", || async {
            call(&server, &old.pem, Some(&caller)).await.is_ok()
        })
        .await?;
        let former = old.issue(&[dns("backend.shop.example")?])?;
        ensure!(call(&server, &old.pem, Some(&former)).await.is_err(), "the old authority is believed still");
        Ok(())
    });
}
