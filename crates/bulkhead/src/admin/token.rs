use bulkhead_api::AuthApi;
use bulkhead_chassis::{OsEntropy, SystemClock};
use bulkhead_model::{AppId, AppKey, Clock, limits::ACCESS_TOKEN_LIFE_S_MAX};
use bulkhead_proto::auth::{RevokeAppTokensRequest, RevokeTokenRequest, UserRequest};
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
    /// Takes tokens back.
    Revoke(RevokeArguments),
    /// Says what a token holds; needs no region.
    Decode {
        token: String,
        /// Also says whether this certificate signed it: 32 hex digits.
        #[arg(long, value_name = "HEX")]
        certificate: Option<String>,
    },
}

/// Which tokens are taken back. Their sockets are closed within a second, wherever they are.
#[derive(Args)]
pub(super) struct RevokeArguments {
    #[arg(long, value_name = "ORG/APP")]
    app: AppKey,
    #[command(flatten)]
    which: Which,
    /// With --all: only tokens issued before this instant, in Unix milliseconds.
    #[arg(long, value_name = "MS", conflicts_with_all = ["token", "token_sha256", "user"])]
    issued_before_ms: Option<u64>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// This one; "-" reads it from the standard input, where no list of processes shows it.
    #[arg(long)]
    token: Option<String>,
    /// The one with this SHA-256: 64 hex digits.
    #[arg(long, value_name = "HEX")]
    token_sha256: Option<String>,
    /// All of this user, a username or the text form of a registration UUID, that were issued until now.
    #[arg(long)]
    user: Option<String>,
    /// All of the app, those of its back end included.
    #[arg(long)]
    all: bool,
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
        TokenCommand::Revoke(arguments) => {
            let reached = Reached::open(reach).await?;
            let outcome = revoke(&*reached.auth, arguments).await;
            reached.close().await;
            outcome?;
            println!("{}", if reach.json { "{\"revoked\":true}" } else { "revoked" });
        }
        TokenCommand::Decode { token, certificate } => {
            let text = decode(&token, certificate.as_deref(), SystemClock.now_ms() / 1000)?;
            println!("{text}");
        }
    }
    Ok(())
}

async fn revoke(auth: &dyn AuthApi, arguments: RevokeArguments) -> Result<(), Failure> {
    let app = find(auth, &arguments.app).await?.uuid;
    let Which { token, token_sha256, user, .. } = arguments.which;
    if let Some(user) = user {
        return Ok(auth.revoke_user_tokens(UserRequest { app, user }).await?);
    }
    if token.is_none() && token_sha256.is_none() {
        let issued_before_ms = arguments.issued_before_ms.unwrap_or_default();
        return Ok(auth.revoke_app_tokens(RevokeAppTokensRequest { app, issued_before_ms }).await?);
    }
    let token = match token.as_deref() {
        Some("-") => {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line);
            read.map_err(|error| Failure::io(format!("standard input: {error}")))?;
            line.trim().to_owned()
        }
        token => token.unwrap_or_default().to_owned(),
    };
    let token_sha256 = hex::decode(token_sha256.unwrap_or_default())
        .map_err(|_| Failure::usage("--token-sha256 takes 64 hex digits"))?;
    Ok(auth.revoke_token(RevokeTokenRequest { app, token, token_sha256: token_sha256.into() }).await?)
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
