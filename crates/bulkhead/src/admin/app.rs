use bulkhead_api::AuthApi;
use bulkhead_auth::{accepts_secondary, token_life_s_max, token_skew_s};
use bulkhead_chassis::SystemClock;
use bulkhead_model::{AppKey, Clock, Plan, Result};
use bulkhead_proto::auth::{
    CreateAppRequest, FindAppRequest, ListAppsRequest, UpdateAppRequest, find_app_request::By,
    update_app_request::Change,
};
use bulkhead_proto::records::App;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::ReachArguments;
use super::app_tokens::{CertificateCommand, TokenRules, describe_secondary};
use super::reach::Reached;
use crate::Failure;

/// Apps of one page.
const PAGE: u32 = 100;

#[derive(Subcommand)]
pub(super) enum AppCommand {
    /// Creates an app in this region, for ever.
    Create {
        /// ORG/APP
        app: AppKey,
        /// How long messages are kept: free (7 days), starter (90), pro (180), enterprise or enterprise:DAYS.
        #[arg(long, default_value = "enterprise", value_parser = Plan::parse)]
        plan: Plan,
        /// Brings an App ID along from elsewhere: 32 hex digits.
        #[arg(long, default_value = "", hide_default_value = true)]
        app_id: String,
    },
    /// Lists the apps of the region.
    List,
    /// Shows one app.
    Show { app: AppKey },
    /// The certificates that sign tokens, and for how long each is accepted.
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// What tokens the app accepts.
    TokenRules(TokenRules),
    /// Lets everybody in without a token, or stops it.
    NoCertificate { app: AppKey, mode: Switch },
    /// Who may register a user: everybody, or only the app's back end.
    Registration { app: AppKey, mode: Registration },
    /// Changes how long messages are kept.
    Plan {
        app: AppKey,
        #[arg(value_parser = Plan::parse)]
        plan: Plan,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Registration {
    Open,
    Authorized,
}

pub(super) async fn run(reach: &ReachArguments, command: AppCommand) -> Result<(), Failure> {
    let reached = Reached::open(reach).await?;
    let outcome = execute(&*reached.auth, reach.json, command).await;
    reached.close().await;
    outcome
}

async fn execute(auth: &dyn AuthApi, as_json: bool, command: AppCommand) -> Result<(), Failure> {
    match command {
        AppCommand::Create { app, plan, app_id } => {
            let (org_name, app_name) = (app.org, app.app);
            let request = CreateAppRequest { org_name, app_name, app_id, plan: plan.to_string() };
            let created = auth.create_app(request).await?;
            let app = created.app.unwrap_or_default();
            print_app(&app, Some(&created.client_secret), as_json);
        }
        AppCommand::List => list(auth, as_json).await?,
        AppCommand::Show { app } => print_app(&find(auth, &app).await?, None, as_json),
        AppCommand::Certificate(command) => {
            let app = command.app();
            match command.change() {
                Some(change) => update(auth, app, change, as_json).await?,
                None => print_app(&find(auth, app).await?, None, as_json),
            }
        }
        AppCommand::TokenRules(rules) => {
            let app = &rules.app;
            let mut shown = find(auth, app).await?;
            for change in rules.changes() {
                let request = UpdateAppRequest { uuid: shown.uuid.clone(), change: Some(change) };
                shown = auth.update_app(request).await?;
            }
            print_app(&shown, None, as_json);
        }
        AppCommand::NoCertificate { app, mode } => {
            update(auth, &app, Change::NoCertificate(matches!(mode, Switch::On)), as_json).await?;
        }
        AppCommand::Registration { app, mode } => {
            let open = matches!(mode, Registration::Open);
            update(auth, &app, Change::OpenRegistration(open), as_json).await?;
        }
        AppCommand::Plan { app, plan } => {
            update(auth, &app, Change::Plan(plan.to_string()), as_json).await?;
        }
    }
    Ok(())
}

/// Finds an app by its AppKey, with its certificates.
pub(super) async fn find(auth: &dyn AuthApi, app: &AppKey) -> Result<App> {
    auth.show_app(FindAppRequest { by: Some(By::AppKey(app.to_string())) }).await
}

async fn update(auth: &dyn AuthApi, app: &AppKey, change: Change, as_json: bool) -> Result<(), Failure> {
    let uuid = find(auth, app).await?.uuid;
    let changed = auth.update_app(UpdateAppRequest { uuid, change: Some(change) }).await?;
    print_app(&changed, None, as_json);
    Ok(())
}

async fn list(auth: &dyn AuthApi, as_json: bool) -> Result<(), Failure> {
    let mut all = Vec::new();
    walk_apps(auth, |app| {
        if as_json {
            all.push(describe(app, None));
        } else {
            println!("{}  {}  {}", app_key(app), app.app_id, app.plan);
        }
        if let Some(warning) = no_certificate_warning(app) {
            eprintln!("{warning}");
        }
    })
    .await?;
    if as_json {
        println!("{}", Value::Array(all));
    }
    Ok(())
}

/// Visits every app of the region, page by page.
pub(crate) async fn walk_apps(auth: &dyn AuthApi, mut visit: impl FnMut(&App)) -> Result<(), Failure> {
    let mut after = String::new();
    loop {
        let page = auth.list_apps(ListAppsRequest { after, limit: PAGE }).await?.apps;
        page.iter().for_each(&mut visit);
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = app_key(last),
            _ => return Ok(()),
        }
    }
}

/// What is said at every start and every look at an app whose door stands open.
pub(crate) fn no_certificate_warning(app: &App) -> Option<String> {
    app.no_certificate.then(|| {
        format!(
            "WARNING: \"No certificate\" is ON for {}: anybody who knows the AppKey can log in as any user, without a \
             token. Turn it off with: bulkhead admin app no-certificate {}/{} off",
            app_key(app),
            app.org_name,
            app.app_name
        )
    })
}

fn app_key(app: &App) -> String {
    format!("{}#{}", app.org_name, app.app_name)
}

fn print_app(app: &App, client_secret: Option<&str>, as_json: bool) {
    if as_json {
        println!("{}", describe(app, client_secret));
    } else {
        println!("AppKey                 {}", app_key(app));
        println!("App ID                 {}", app.app_id);
        println!("Region                 {} (fixed)", app.region);
        println!("Certificate            {}", app.certificate_primary);
        println!("Secondary certificate  {}", describe_secondary(app, SystemClock.now_ms()));
        println!("Token life             at most {} s", token_life_s_max(app));
        println!("Token clock skew       {} s", token_skew_s(app));
        println!("Tokens of a user       {}", if app.single_token { "one" } else { "many" });
        println!("Client ID              {}", app.client_id);
        if let Some(secret) = client_secret {
            println!("Client secret          {secret} (shown only now)");
        }
        println!("Plan                   {}", app.plan);
        println!("Registration           {}", if app.open_registration { "open" } else { "authorized" });
        println!("No certificate         {}", if app.no_certificate { "ON" } else { "off" });
    }
    if let Some(warning) = no_certificate_warning(app) {
        eprintln!("{warning}");
    }
}

fn describe(app: &App, client_secret: Option<&str>) -> Value {
    let mut description = json!({
        "org_name": app.org_name,
        "app_name": app.app_name,
        "app_key": app_key(app),
        "app_id": app.app_id,
        "app_certificate": app.certificate_primary,
        "app_certificate_secondary": app.certificate_secondary,
        "app_certificate_secondary_until_ms": app.secondary_until_ms,
        "app_certificate_secondary_accepted": accepts_secondary(app, SystemClock.now_ms()),
        "token_life_max_s": token_life_s_max(app),
        "token_skew_s": token_skew_s(app),
        "single_token": app.single_token,
        "tokens_valid_from_ms": app.tokens_valid_from_ms,
        "client_id": app.client_id,
        "region": app.region,
        "plan": app.plan,
        "open_registration": app.open_registration,
        "no_certificate": app.no_certificate,
        "created_ms": app.created_ms,
    });
    if let Some(secret) = client_secret {
        description["client_secret"] = Value::from(secret);
    }
    description
}
