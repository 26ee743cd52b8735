//! The screen for people: where the region is, who is in it, what to try next.

use std::fmt::Write as _;
use std::path::Path;

use bulkhead_chassis::tls;
use bulkhead_model::{Entropy, limits::ACCESS_TOKEN_LIFE_S_MAX};

use super::{DevApp, DevFile, DevRegion};
use crate::Failure;
use crate::arguments::{DevArguments, Regions};
use crate::tokens;

const DEFAULT_DATA_DIR: &str = ".bulkhead";

/// The text of the screen. Tokens and the lines to try are those of the first region and its first app; dev.json has
/// the rest.
pub(super) fn render(
    file: &DevFile,
    arguments: &DevArguments,
    now_ms: u64,
    entropy: &dyn Entropy,
) -> Result<String, Failure> {
    let mut screen = String::new();
    let mut line = |text: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(screen, "{text}");
    };
    for region in &file.regions {
        line(&format!("Bulkhead region {}", region.region));
        line(&format!("  REST       {}", region.rest_url));
        line(&format!("  WebSocket  {}", region.ws_url));
        for app in &region.apps {
            line(&format!("  AppKey     {}   App ID {}", app.app_key, app.app_id));
        }
        line("");
    }
    let Some((region, app)) = first(file) else { return Ok(screen) };
    line("User tokens, good for 24 hours:");
    for user in &app.users {
        let token = tokens::build_user(
            &app.app_id,
            &app.app_certificate,
            &user.username,
            now_ms,
            ACCESS_TOKEN_LIFE_S_MAX,
            entropy,
        )?;
        line(&format!("  {:<9}  {token}", user.username));
    }
    let token =
        tokens::build_app(&app.app_id, &app.app_certificate, now_ms, ACCESS_TOKEN_LIFE_S_MAX, entropy)?;
    line("");
    line("Send a message from alice to bob:");
    line(&format!("  {}", curl(region, app, &token, arguments)));
    line("");
    line("Chat in another terminal:");
    line(&format!("  {}", chat(arguments)));
    line("");
    let dev_json = arguments.data_dir.join("dev.json");
    line(&format!("Passwords, certificate and client secret: {}", dev_json.display()));
    Ok(screen)
}

fn first(file: &DevFile) -> Option<(&DevRegion, &DevApp)> {
    let region = file.regions.first()?;
    Some((region, region.apps.first()?))
}

fn curl(region: &DevRegion, app: &DevApp, token: &str, arguments: &DevArguments) -> String {
    let trust = if arguments.tls {
        let folder = match arguments.regions {
            Regions::All => arguments.data_dir.join(&region.region),
            _ => arguments.data_dir.clone(),
        };
        format!("--cacert {} ", quote(&tls::local_authority_file(&folder.join("tls"))))
    } else {
        String::new()
    };
    let body = r#"{"from":"alice","to":["bob"],"type":"txt","body":{"msg":"Hello"}}"#;
    format!(
        "curl {trust}-H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' -d '{body}' \
         {}/{}/{}/messages/users",
        region.rest_url, app.org_name, app.app_name
    )
}

/// The command as it can be typed where this one was.
fn chat(arguments: &DevArguments) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "bulkhead".to_owned());
    let mut command = format!("{} chat --as alice --to bob", quote(Path::new(&program)));
    if arguments.data_dir != Path::new(DEFAULT_DATA_DIR) {
        let _ = write!(command, " --data-dir {}", quote(&arguments.data_dir));
    }
    command
}

/// Quotes a path for a shell where it needs it.
fn quote(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
