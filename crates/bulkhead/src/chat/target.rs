//! Which region, which app, which credential: from the arguments, and what they leave out from dev.json.

use std::path::Path;
use std::sync::Arc;

use bulkhead_chassis::{OsEntropy, SystemClock, tls};
use bulkhead_client::{RegionAddress, Rest, TokenBuilder, Trust};
use bulkhead_model::limits::ACCESS_TOKEN_LIFE_S_MAX;
use bulkhead_model::{AppKey, fold_username};

use super::ChatArguments;
use crate::Failure;
use crate::dev::{DevApp, DevFile, DevRegion};

/// Where to log in and with what. Holds a token, so it has no `Debug`.
pub(super) struct Target {
    pub(super) region: RegionAddress,
    pub(super) app: AppKey,
    pub(super) user: String,
    pub(super) token: String,
}

pub(super) async fn resolve(arguments: &ChatArguments) -> Result<Target, Failure> {
    let needs_file = arguments.url.is_none()
        || arguments.app.is_none()
        || (arguments.token.is_none() && arguments.password.is_none());
    let file = if needs_file { Some(read_dev_file(&arguments.data_dir)?) } else { None };
    let found = file.as_ref().and_then(|file| find(file, arguments));
    let (url, app) = match (&arguments.url, &arguments.app, found) {
        (Some(url), Some(app), _) => (url.clone(), app.clone()),
        (url, app, Some((region, dev_app))) => (
            url.clone().unwrap_or_else(|| region.rest_url.clone()),
            match app {
                Some(app) => app.clone(),
                None => dev_app.app_key.parse()?,
            },
        ),
        _ => return Err(Failure::usage("dev.json has no such app or region; give --url and --app")),
    };
    let trust = match &arguments.ca {
        Some(file) => Trust::File(file.clone()),
        None => found.map_or(Trust::System, |(region, _)| trust_of(&arguments.data_dir, region, &url)),
    };
    let region = RegionAddress::new(&url, &trust)?;
    let user = fold_username(&arguments.user);
    let token = match (&arguments.token, &arguments.password, found) {
        (Some(token), _, _) => token.clone(),
        (None, Some(password), _) => {
            Rest::new(&region, &app)?.grant_password(&user, password).await?.access_token
        }
        (None, None, Some((_, dev_app))) => {
            let app_id = dev_app.app_id.parse()?;
            TokenBuilder::new(&app_id, &dev_app.app_certificate, Arc::new(SystemClock), Arc::new(OsEntropy))
                .user_token(&user, ACCESS_TOKEN_LIFE_S_MAX)?
        }
        (None, None, None) => return Err(Failure::usage("give --token or --password")),
    };
    Ok(Target { region, app, user, token })
}

fn read_dev_file(data_dir: &Path) -> Result<DevFile, Failure> {
    let path = data_dir.join("dev.json");
    let text = std::fs::read(&path).map_err(|error| {
        Failure::usage(format!(
            "{}: {error}; start `bulkhead dev`, or give --url, --app and --token or --password",
            path.display()
        ))
    })?;
    serde_json::from_slice(&text)
        .map_err(|_| Failure::usage(format!("{} is not what dev writes", path.display())))
}

/// The app that is meant, with its region; the first one if the arguments do not say.
fn find<'a>(file: &'a DevFile, arguments: &ChatArguments) -> Option<(&'a DevRegion, &'a DevApp)> {
    let url = arguments.url.as_ref().map(|url| url.trim_end_matches('/'));
    file.regions
        .iter()
        .filter(|region| url.is_none_or(|url| region.rest_url == url))
        .flat_map(|region| region.apps.iter().map(move |app| (region, app)))
        .find(|(_, app)| arguments.app.as_ref().is_none_or(|wanted| wanted.to_string() == app.app_key))
}

/// The local authority of a `dev --tls`, whose folder is the data folder or, with several regions, one in it.
pub(crate) fn trust_of(data_dir: &Path, region: &DevRegion, url: &str) -> Trust {
    if !url.starts_with("https:") {
        return Trust::System;
    }
    [data_dir.to_path_buf(), data_dir.join(&region.region)]
        .into_iter()
        .map(|folder| tls::local_authority_file(&folder.join("tls")))
        .find(|file| file.exists())
        .map_or(Trust::System, Trust::File)
}
