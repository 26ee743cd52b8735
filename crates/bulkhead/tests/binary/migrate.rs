//! A keyspace of a real database: made by `bulkhead admin migrate`, served by `bulkhead storage`, and refused when it does
//! not fit.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bulkhead_testkit::Cassandra;
use serde_json::{Value, json};

use crate::support::{Running, run, run_json};

/// A configuration of the storage role; the keyspace is on a node at `contact_point`.
fn configuration(folder: &Path, region: &str, contact_point: &str, keyspace: &str) -> PathBuf {
    let key = folder.join("region.key");
    if !key.exists() {
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key);
        file.unwrap().write_all("11e45678".repeat(8).as_bytes()).unwrap();
    }
    let file = folder.join(format!("{region}.toml"));
    let text = format!(
        "region = \"{region}\"\nidentity.insecure = true\n\
         [storage]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{data}\"\nregion_key_file = \"{key}\"\nengine = \"cql\"\n\
         [storage.cql]\ncontact_points = \"{contact_point}\"\nregion = \"{region}\"\ndata_center = \"singapore\"\n\
         keyspace = \"{keyspace}\"\nreplication_factor = 1\n",
        data = folder.display(),
        key = key.display(),
    );
    fs::write(&file, text).unwrap();
    file
}

fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let ended = run(arguments);
    assert_eq!(ended.code, code, "{arguments:?}: {}", ended.err);
    let last = ended.err.lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "{word}: {last}");
    }
}

/// What the node at the monitor's address has dialled first.
fn residency(monitor: SocketAddr) -> Value {
    let mut stream = TcpStream::connect(monitor).unwrap();
    write!(stream, "GET /residency HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str::<Value>(body).unwrap()["dialled"][0].clone()
}

#[test]
fn a_keyspace_is_made_once_served_and_refused_to_other_regions() {
    let node = Cassandra::shared().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keyspace = node.new_keyspace();
    let file = configuration(folder.path(), "singapore", &node.contact_point(), &keyspace);
    let own = file.to_str().unwrap();
    let monitor = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = fs::read_to_string(own).unwrap() + &format!("[monitor]\nlisten = \"{monitor}\"\n");
    fs::write(own, text).unwrap();

    refused(
        &["storage", "--config", own],
        64,
        &["storage.cql.keyspace", &keyspace, "bulkhead admin migrate"],
    );
    let migrate = ["admin", "migrate", "--json", "--config", own];
    let migrated = |from| json!({ "keyspace": keyspace, "region": "singapore", "from": from, "to": 1 });
    assert_eq!(run_json(&migrate), migrated(0));
    assert_eq!(run_json(&migrate), migrated(1));
    let storage = Running::start(&["storage", "--config", own]);
    storage.err_line("ready");
    let dialled = residency(monitor);
    assert_eq!(dialled["service"], "database");
    assert_eq!(dialled["address"], node.contact_point());
    assert_eq!((&dialled["proven_region"], &dialled["connected"]), (&json!("singapore"), &json!(1)));
    assert_eq!(storage.stop().code, 0);

    let file = configuration(folder.path(), "frankfurt", &node.contact_point(), &keyspace);
    let foreign = file.to_str().unwrap();
    let words = ["storage.cql.keyspace", "belongs to region singapore, not to frankfurt"];
    refused(&["storage", "--config", foreign], 64, &words);
    refused(&["admin", "migrate", "--config", foreign], 64, &words);
}

#[test]
fn a_migration_says_which_database_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), "singapore", "127.0.0.1:1", "nowhere");
    let words = ["storage.cql.contact_points", "127.0.0.1:1", "does not answer"];
    refused(&["admin", "migrate", "--config", file.to_str().unwrap()], 74, &words);
}

#[test]
fn the_embedded_engine_needs_no_migration() {
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), "singapore", "127.0.0.1:1", "nowhere");
    let text = fs::read_to_string(&file).unwrap().replace("engine = \"cql\"", "engine = \"embedded\"");
    fs::write(&file, text).unwrap();
    refused(&["admin", "migrate", "--config", file.to_str().unwrap()], 64, &["storage.engine"]);
}
