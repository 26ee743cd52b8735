//! Starts that must fail: one clear line with the setting's name, and an exit code.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use bulkhead_testkit::{Composition, Process, TestRegion};

use crate::server::{TokenServer, arguments, config_file, prepare, settings, write_secret};

/// Far more than a start takes that fails.
const LIMIT: Duration = Duration::from_secs(30);

/// Starts a token server that must not start: its exit code, and what it says.
fn start(folder: &Path, region: &TestRegion, more: &str) -> Result<(Option<i32>, String)> {
    fs::write(config_file(folder), settings(folder, region, more))?;
    let log = folder.join("refusal");
    let _ = fs::remove_file(&log);
    let mut process = Process::start_logging(crate::binary(), &arguments(folder), &log, "info")?;
    let status = process.wait(LIMIT)?;
    Ok((status.code(), process.log()))
}

fn refused((found, text): &(Option<i32>, String), code: i32, setting: &str) -> Result<()> {
    ensure!(*found == Some(code), "{found:?}: {text}");
    ensure!(text.contains(&format!("{setting}: ")), "{setting} is not named: {text}");
    Ok(())
}

#[test]
fn a_token_server_that_is_set_up_wrong_does_not_start_and_says_which_setting_it_is() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let folder = tempfile::tempdir()?;
        let folder = folder.path();
        prepare(folder, region.app())?;
        for (more, setting) in [
            ("listen = \"0.0.0.0:0\"", "token_server.client_ca_file"),
            ("listen = \"0.0.0.0:0\"", "token_server.client_names"),
            ("listen = \"0.0.0.0:0\"", "token_server.tls_certificate_file"),
            ("listen = \"[::]:0\"", "token_server.tls_key_file"),
            ("rest_url = \"http://chat.example\"", "token_server.rest_url"),
            ("region = \"frankfurt\"", "token_server.region"),
            ("app_id = \"61\"", "token_server.app_id"),
            ("token_life_s_max = 86401", "token_server.token_life_s_max"),
        ] {
            refused(&start(folder, &region, more)?, 64, setting)?;
        }
        let certificate = folder.join("primary");
        fs::write(&certificate, "canary")?;
        let output = start(folder, &region, "listen = \"127.0.0.1:0\"")?;
        refused(&output, 64, "token_server.app_certificate_file")?;
        ensure!(!output.1.contains("canary"), "the certificate is shown");
        fs::remove_file(&certificate)?;
        refused(&start(folder, &region, "")?, 74, "token_server.app_certificate_file")?;
        Ok(())
    });
}

#[test]
fn a_map_of_another_key_or_app_or_one_that_is_in_use_is_refused() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let mut server = TokenServer::start(&region).await?;
        let folder = server.folder().to_owned();
        let kept = fs::read_to_string(config_file(&folder))?;
        refused(&start(&folder, &region, "listen = \"127.0.0.1:0\"")?, 74, "token_server.map_dir")?;
        let first = server.token_of("a").await?.username;
        server.stop()?;

        let other_app = format!("listen = \"127.0.0.1:0\"\napp_id = \"61{}\"", "0".repeat(30));
        refused(&start(&folder, &region, &other_app)?, 64, "token_server.map_key_file")?;
        write_secret(&folder.join("map-key"), &"5f".repeat(32))?;
        refused(&start(&folder, &region, "listen = \"127.0.0.1:0\"")?, 64, "token_server.map_key_file")?;

        write_secret(&folder.join("map-key"), &"5e".repeat(32))?;
        fs::write(config_file(&folder), kept)?;
        server.start_again().await?;
        ensure!(server.token_of("a").await?.username == first, "the refused starts changed something");
        Ok(())
    });
}
