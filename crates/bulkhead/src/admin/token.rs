use bulkhead_chassis::{OsEntropy, SystemClock};
use bulkhead_model::{AppId, AppKey, Clock, limits::ACCESS_TOKEN_LIFE_S_MAX};
use bulkhead_token::SignedToken;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ReachArguments;
use super::app::find;
use super::reach::Reached;
use crate::{Failure, tokens};

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Builds a token that logs one user in.
    BuildUser {
        /// A username, or the text form of a registration UUID.
        #[arg(long)]
        user: String,
        #[command(flatten)]
        signer: SignerArguments,
    },
    /// Builds a token with app privilege, for a back end's REST calls.
    BuildApp {
        #[command(flatten)]
        signer: SignerArguments,
    },
    /// Says what a token holds; needs no region.
    Decode {
        token: String,
        /// Also says whether this certificate signed it: 32 hex digits.
        #[arg(long, value_name = "HEX")]
        certificate: Option<String>,
    },
}

/// Whose certificate signs: an app of the region, or any that is given.
#[derive(Args)]
pub(super) struct SignerArguments {
    /// The app, whose certificate is asked from its region.
    #[arg(long, value_name = "ORG/APP", conflicts_with_all = ["app_id", "certificate"])]
    app: Option<AppKey>,
    /// App ID, to build without a region: 32 hex digits.
    #[arg(long, value_name = "HEX", requires = "certificate", required_unless_present = "app")]
    app_id: Option<AppId>,
    /// App Certificate, to build without a region: 32 hex digits.
    #[arg(long, value_name = "HEX", requires = "app_id")]
    certificate: Option<String>,
    /// Life of the token in seconds, at most a day.
    #[arg(long, value_name = "SECONDS", default_value_t = ACCESS_TOKEN_LIFE_S_MAX,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(ACCESS_TOKEN_LIFE_S_MAX)))]
    ttl_s: u32,
}

/// Builds or decodes; what is printed is the token, or what is in it.
pub(super) async fn run(reach: &ReachArguments, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::BuildUser { user, signer } => {
            let (app_id, certificate) = sign_with(reach, &signer).await?;
            let now_ms = SystemClock.now_ms();
            println!(
                "{}",
                tokens::build_user(&app_id, &certificate, &user, now_ms, signer.ttl_s, &OsEntropy)?
            );
        }
        TokenCommand::BuildApp { signer } => {
            let (app_id, certificate) = sign_with(reach, &signer).await?;
            let now_ms = SystemClock.now_ms();
            println!("{}", tokens::build_app(&app_id, &certificate, now_ms, signer.ttl_s, &OsEntropy)?);
        }
        TokenCommand::Decode { token, certificate } => {
            let text = decode(&token, certificate.as_deref(), SystemClock.now_ms() / 1000)?;
            println!("{text}");
        }
    }
    Ok(())
}

/// What a token says, as JSON; with a certificate also whether a server would take it.
fn decode(token: &str, certificate: Option<&str>, now_s: u64) -> Result<String, Failure> {
    let signed = SignedToken::decode(token).map_err(|error| Failure::usage(error.to_string()))?;
    let claims = signed.claims();
    let services = claims.services.iter().map(|service| {
        json!({
            "service": service.kind.number(),
            "fields": format!("{:?}", service.kind),
            "privileges": service.privileges,
        })
    });
    let mut described = json!({
        "app_id": claims.app_id,
        "issued_s": claims.issued_s,
        "life_s": claims.life_s,
        "expires_s": u64::from(claims.issued_s) + u64::from(claims.life_s),
        "services": services.collect::<Vec<_>>(),
    });
    if let Some(certificate) = certificate {
        described["verdict"] = match signed.verify(&[certificate], now_s, 0) {
            Ok(_) => Value::from("valid"),
            Err(error) => Value::from(error.to_string()),
        };
    }
    Ok(format!("{described:#}"))
}

/// App ID and certificate.
async fn sign_with(reach: &ReachArguments, signer: &SignerArguments) -> Result<(String, String), Failure> {
    if let (Some(app_id), Some(certificate)) = (&signer.app_id, &signer.certificate) {
        return Ok((app_id.to_string(), certificate.clone()));
    }
    let Some(key) = &signer.app else {
        return Err(Failure::usage("name an app with --app, or --app-id and --certificate"));
    };
    let reached = Reached::open(reach).await?;
    let found = find(&*reached.auth, key).await;
    reached.close().await;
    let app = found?;
    Ok((app.app_id, app.certificate_primary))
}
