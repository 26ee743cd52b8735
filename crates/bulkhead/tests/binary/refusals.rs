//! Starts that must fail: one clear line, and an exit code that says what kind of thing is wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Ended, Running, run, stopped_region};

fn dev(folder: &Path, further: &[&str]) -> Ended {
    let mut arguments = vec!["dev", "--data-dir", folder.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    arguments.extend(further);
    run(&arguments)
}

fn expect(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{}", ended.err);
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    for word in words {
        assert!(ended.err.contains(word), "{word}: {}", ended.err);
    }
    assert_eq!(ended.out, "");
}

#[test]
fn a_port_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["dev", "--data-dir", folder.path().to_str().unwrap(), "--listen", &address];
    expect(&run(&arguments), 74, &[&address, "in use", "--listen"]);
}

#[test]
fn a_data_folder_that_cannot_be_had() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    expect(&dev(&file, &[]), 74, &["file"]);
    expect(&dev(&file.join("below"), &[]), 74, &["below"]);
}

#[test]
fn a_data_folder_of_another_region() {
    let folder = stopped_region();
    expect(&dev(folder.path(), &["--regions", "frankfurt"]), 64, &["singapore", "frankfurt"]);
}

#[test]
fn a_data_folder_of_a_newer_format() {
    let folder = stopped_region();
    let mark = folder.path().join("bulkhead.json");
    let text = fs::read_to_string(&mark).unwrap();
    let newer = text.replace("\"format_version\":1", "\"format_version\":99");
    assert_ne!(text, newer);
    fs::write(&mark, newer).unwrap();
    expect(&dev(folder.path(), &[]), 64, &["format 99"]);
}

#[test]
fn a_data_folder_that_another_process_has_open() {
    let folder = tempfile::tempdir().unwrap();
    let (running, _) = Running::dev(folder.path(), &[]);
    expect(&dev(folder.path(), &[]), 74, &["in use"]);
    assert_eq!(running.stop().code, 0);
}

#[test]
fn a_wrong_missing_or_readable_region_key() {
    let folder = stopped_region();
    let key = folder.path().join("region.key");
    let right = fs::read(&key).unwrap();
    fs::write(&key, "00".repeat(32)).unwrap();
    expect(&dev(folder.path(), &[]), 64, &["region key"]);
    fs::remove_file(&key).unwrap();
    expect(&dev(folder.path(), &[]), 64, &["region key"]);
    fs::write(&key, "not hex").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    expect(&dev(folder.path(), &[]), 64, &["region.key", "64 hex digits"]);
    fs::write(&key, &right).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    expect(&dev(folder.path(), &[]), 64, &["region.key", "chmod 600"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let (running, _) = Running::dev(folder.path(), &[]);
    assert_eq!(running.stop().code, 0);
}

#[test]
fn arguments_that_are_not_understood() {
    for arguments in [
        &["sing"][..],
        &[],
        &["dev", "--listen", "nowhere"],
        &["dev", "--regions", "atlantis"],
        &["dev", "--app", "noslash"],
        &["gateway"],
    ] {
        assert_eq!(run(arguments).code, 64, "{arguments:?}");
    }
    assert_eq!(run(&["--help"]).code, 0);
    assert_eq!(run(&["--version"]).code, 0);
}

#[test]
fn a_role_with_a_wrong_configuration_names_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    fs::write(&file, "colour = \"blue\"\n[auth]\nlisten = \"x\"\n").unwrap();
    let ended = run(&["auth", "--config", file.to_str().unwrap()]);
    assert_eq!(ended.code, 64);
    for key in ["colour", "region", "auth.listen", "endpoints.storage.url"] {
        assert!(ended.err.contains(&format!("  {key}: ")), "{key}: {}", ended.err);
    }
    assert_eq!(run(&["auth", "--config", "/nowhere/node.toml"]).code, 74);
}
