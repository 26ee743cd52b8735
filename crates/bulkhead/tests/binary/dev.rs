use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Running, dev_json, http};

fn region(folder: &Path, index: usize) -> Value {
    dev_json(folder)["regions"][index].clone()
}

async fn post(url: &str, body: &Value) -> (u16, Value) {
    let answer = http().post(url).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// An app token for the client id and secret of `dev.json`.
async fn app_token(region: &Value) -> (u16, Value) {
    let app = &region["apps"][0];
    let url = format!("{}/demo/chat/token", region["rest_url"].as_str().unwrap());
    let body = json!({
        "grant_type": "client_credentials",
        "client_id": app["client_id"],
        "client_secret": app["client_secret"],
    });
    post(&url, &body).await
}

#[tokio::test]
async fn the_first_start_makes_a_region_that_answers_and_describes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (running, screen) = Running::dev(folder.path(), &[]);
    let region = region(folder.path(), 0);
    assert_eq!(region["region"], "singapore");
    let rest_url = region["rest_url"].as_str().unwrap();
    assert!(rest_url.starts_with("http://127.0.0.1:"), "{rest_url}");
    assert_eq!(region["ws_url"], format!("{}/websocket", rest_url.replace("http", "ws")));
    let app = &region["apps"][0];
    assert_eq!((&app["org_name"], &app["app_name"]), (&json!("demo"), &json!("chat")));
    assert_eq!(app["app_key"], "demo#chat");
    assert!(app["app_id"].as_str().unwrap().starts_with("61"));
    assert_eq!(app["app_certificate"].as_str().unwrap().len(), 32);
    for field in ["client_id", "client_secret"] {
        assert!(!app[field].as_str().unwrap().is_empty(), "{field}");
    }
    for (index, username) in ["alice", "bob"].into_iter().enumerate() {
        let user = &app["users"][index];
        assert_eq!(user["username"], username);
        assert_eq!(user["uuid"].as_str().unwrap().len(), 36);
        assert!(user["password"].as_str().unwrap().len() >= 16);
    }
    let mode = std::fs::metadata(folder.path().join("dev.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let (status, answer) = app_token(&region).await;
    assert_eq!(status, 200, "{answer}");
    let url = format!("{rest_url}/demo/chat/token");
    let login = json!({
        "grant_type": "password",
        "username": "alice",
        "password": app["users"][0]["password"],
    });
    let (status, answer) = post(&url, &login).await;
    assert_eq!((status, &answer["user"]["uuid"]), (200, &app["users"][0]["uuid"]), "{answer}");

    for expected in [
        rest_url,
        region["ws_url"].as_str().unwrap(),
        "demo#chat",
        app["app_id"].as_str().unwrap(),
        "curl ",
        "chat --as alice --to bob",
    ] {
        assert!(screen.contains(expected), "{expected}: {screen}");
    }
    assert!(screen.lines().count() < 25, "{screen}");
    assert_eq!(running.stop().code, 0);
}

#[tokio::test]
async fn the_curl_line_of_the_screen_sends_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let (running, screen) = Running::dev(folder.path(), &[]);
    let line = screen.lines().find(|line| line.trim_start().starts_with("curl ")).unwrap();
    let quoted: Vec<_> = line.split('\'').collect();
    let authorization = quoted[1].strip_prefix("Authorization: ").unwrap();
    let body: Value = serde_json::from_str(quoted[5]).unwrap();
    let url = line.rsplit(' ').next().unwrap();
    let request = http().post(url).header("Authorization", authorization).json(&body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let answer: Value = answer.json().await.unwrap();
    assert!(answer["data"]["bob"].is_string(), "{answer}");
    assert_eq!(running.stop().code, 0);
}

#[tokio::test]
async fn a_later_start_finds_the_same_apps_users_and_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let (running, _) = Running::dev(folder.path(), &["--app", "acme/shop"]);
    let first = region(folder.path(), 0);
    assert_eq!(first["apps"][1]["app_key"], "acme#shop");
    assert_eq!(first["apps"][1]["users"], json!([]));
    assert_eq!(running.stop().code, 0);

    let (running, _) = Running::dev(folder.path(), &[]);
    let second = region(folder.path(), 0);
    assert_eq!(second["apps"], first["apps"]);
    assert_eq!(app_token(&second).await.0, 200);
    assert_eq!(running.stop().code, 0);
}

#[tokio::test]
async fn passwords_that_were_lost_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (running, _) = Running::dev(folder.path(), &[]);
    let first = region(folder.path(), 0);
    assert_eq!(running.stop().code, 0);
    std::fs::remove_file(folder.path().join("dev-secrets.json")).unwrap();

    let (running, _) = Running::dev(folder.path(), &[]);
    let second = region(folder.path(), 0);
    let user = &second["apps"][0]["users"][0];
    assert_eq!(user["uuid"], first["apps"][0]["users"][0]["uuid"]);
    assert_ne!(user["password"], first["apps"][0]["users"][0]["password"]);
    let url = format!("{}/demo/chat/token", second["rest_url"].as_str().unwrap());
    let login = json!({ "grant_type": "password", "username": "alice", "password": user["password"] });
    assert_eq!(post(&url, &login).await.0, 200);
    assert_eq!(running.stop().code, 0);
}

#[tokio::test]
async fn three_regions_are_closed_to_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (running, _) = Running::dev(folder.path(), &["--regions", "all"]);
    let regions: Vec<_> = (0..3).map(|index| region(folder.path(), index)).collect();
    for (region, (name, prefix)) in
        regions.iter().zip([("singapore", "61"), ("frankfurt", "71"), ("virginia", "41")])
    {
        assert_eq!(region["region"], name);
        assert!(region["apps"][0]["app_id"].as_str().unwrap().starts_with(prefix));
        assert!(folder.path().join(name).is_dir());
        assert_eq!(app_token(region).await.0, 200);
    }
    // The secrets of one region open nothing in another.
    let mut stranger = regions[0].clone();
    stranger["rest_url"] = regions[1]["rest_url"].clone();
    assert_ne!(app_token(&stranger).await.0, 200);
    assert_eq!(running.stop().code, 0);
}

#[test]
fn json_prints_what_the_file_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let running = Running::start(&["dev", "--data-dir", path, "--listen", "127.0.0.1:0", "--json"]);
    let printed = running.json_out();
    assert_eq!(printed, dev_json(folder.path()));
    running.signal("INT");
    assert_eq!(running.end().code, 0);
}

#[test]
fn a_second_signal_ends_at_once_while_a_request_is_still_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (running, _) = Running::dev_with(folder.path(), &[], &[("RUST_LOG", "info")]);
    let rest_url = region(folder.path(), 0)["rest_url"].as_str().unwrap().to_owned();
    let mut socket = std::net::TcpStream::connect(rest_url.strip_prefix("http://").unwrap()).unwrap();
    // The gateway asks for the body when it has begun to answer the request.
    let head =
        "POST /demo/chat/token HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    socket.read_exact(&mut [0; 12]).unwrap();
    running.signal("TERM");
    running.err_line("a second signal ends at once");
    running.signal("TERM");
    assert_eq!(running.end().code, 143);
}

#[tokio::test]
async fn tls_serves_with_a_certificate_that_the_local_authority_vouches_for() {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, ServerName};

    let folder = tempfile::tempdir().unwrap();
    let (running, screen) = Running::dev(folder.path(), &["--tls"]);
    let region = region(folder.path(), 0);
    let address = region["rest_url"].as_str().unwrap().strip_prefix("https://").unwrap();
    assert!(region["ws_url"].as_str().unwrap().starts_with("wss://"));
    assert!(screen.contains("--cacert"), "{screen}");

    bulkhead_chassis::tls::install_provider();
    let authority = CertificateDer::from_pem_file(folder.path().join("tls/ca.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    for name in ["localhost", "127.0.0.1"] {
        let socket = tokio::net::TcpStream::connect(address).await.unwrap();
        connector.connect(ServerName::try_from(name).unwrap(), socket).await.unwrap();
    }
    assert_eq!(running.stop().code, 0);
}
