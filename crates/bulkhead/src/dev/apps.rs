//! The apps and users that `dev` makes at the first start and finds again at every later one.

use std::path::Path;

use bulkhead_api::AuthApi;
use bulkhead_model::{AppKey, AppUuid, Entropy, ErrorKind, Result};
use bulkhead_proto::auth::{
    CreateAppRequest, FindAppRequest, NewUser, RegisterUsersRequest, UpdateUserRequest, UserRequest,
    find_app_request::By, registration::Outcome, update_user_request::Change,
};
use bulkhead_proto::records::App;

use super::secrets::{AppSecrets, Secrets};
use super::{DevApp, DevUser, FIRST_APP};
use crate::Failure;
use crate::admin::{no_certificate_warning, walk_apps};

/// The users of the first app; a further app starts empty.
const USERS: [&str; 2] = ["alice", "bob"];

/// Makes what is missing of the wanted apps; answers them and the apps of earlier starts, the wanted ones first.
pub(super) async fn find_or_make(
    auth: &dyn AuthApi,
    folder: &Path,
    wanted: &[AppKey],
    entropy: &dyn Entropy,
) -> Result<Vec<DevApp>, Failure> {
    let mut secrets = Secrets::open(folder)?;
    let mut keys = wanted.to_vec();
    for earlier in secrets.app_keys() {
        let earlier = earlier.parse()?;
        if !keys.contains(&earlier) {
            keys.push(earlier);
        }
    }
    let mut apps = Vec::new();
    for key in keys {
        let app = find_or_make_app(auth, &key, &mut secrets).await?;
        let mut users = Vec::new();
        let usernames = if key.to_string() == FIRST_APP { &USERS[..] } else { &[] };
        for username in usernames {
            let (password, is_new) = secrets.app(&key.to_string()).password(username, entropy);
            // Kept before it is used: a user whose password nobody knows could not be shown again.
            if is_new {
                secrets.save()?;
            }
            users.push(find_or_make_user(auth, &app, username, password, is_new).await?);
        }
        apps.push(describe(app, secrets.app(&key.to_string()), users));
    }
    Ok(apps)
}

/// Says on standard error which apps let anybody in.
pub(super) async fn warn_of_open_doors(auth: &dyn AuthApi) -> Result<(), Failure> {
    walk_apps(auth, |app| {
        if let Some(warning) = no_certificate_warning(app) {
            eprintln!("{warning}");
        }
    })
    .await
}

async fn find_or_make_app(auth: &dyn AuthApi, key: &AppKey, secrets: &mut Secrets) -> Result<App, Failure> {
    let by = By::AppKey(key.to_string());
    match auth.show_app(FindAppRequest { by: Some(by) }).await {
        Ok(app) => return Ok(app),
        Err(error) if error.kind() == ErrorKind::AppNotFound => {}
        Err(error) => return Err(error.into()),
    }
    let request = CreateAppRequest {
        org_name: key.org.clone(),
        app_name: key.app.clone(),
        ..CreateAppRequest::default()
    };
    let created = auth.create_app(request).await?;
    secrets.app(&key.to_string()).client_secret = created.client_secret;
    secrets.save()?;
    created.app.ok_or_else(|| Failure::refused("the auth service created an app without saying which"))
}

async fn find_or_make_user(
    auth: &dyn AuthApi,
    app: &App,
    username: &str,
    password: String,
    is_new: bool,
) -> Result<DevUser, Failure> {
    let request = UserRequest { app: app.uuid.clone(), user: username.to_owned() };
    let user = match auth.find_user(request).await {
        // There already, but its password went with the file that kept it.
        Ok(_) if is_new => {
            let change = Some(Change::Password(password.clone()));
            let user = username.to_owned();
            auth.update_user(UpdateUserRequest { app: app.uuid.clone(), user, change }).await?
        }
        Ok(user) => user,
        Err(error) if error.kind() == ErrorKind::UserNotFound => {
            let user = NewUser { username: username.to_owned(), password: password.clone(), nickname: None };
            let request = RegisterUsersRequest { app: app.uuid.clone(), users: vec![user] };
            let outcome = auth.register_users(request).await?.outcomes.pop().and_then(|one| one.outcome);
            match outcome {
                Some(Outcome::User(user)) => user,
                Some(Outcome::Failure(failure)) => return Err(Failure::refused(failure.message)),
                None => return Err(Failure::refused("the auth service did not say whether it made a user")),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let uuid = AppUuid::from_slice(&user.uuid)?.to_string();
    Ok(DevUser { username: username.to_owned(), password, uuid })
}

fn describe(app: App, secrets: &AppSecrets, users: Vec<DevUser>) -> DevApp {
    DevApp {
        app_key: format!("{}#{}", app.org_name, app.app_name),
        org_name: app.org_name,
        app_name: app.app_name,
        app_id: app.app_id,
        app_certificate: app.certificate_primary,
        client_id: app.client_id,
        client_secret: secrets.client_secret.clone(),
        users,
    }
}
