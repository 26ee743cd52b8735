//! What of an app decides about its tokens: rules and certificates.

use bulkhead_auth::accepts_secondary;
use bulkhead_model::{AppKey, limits::ACCESS_TOKEN_LIFE_S_MAX};
use bulkhead_proto::auth::{Done, SwapCertificates, update_app_request::Change};
use bulkhead_proto::records::App;
use clap::{Args, Subcommand};

use super::app::Switch;

/// A rotation: add, let the back end sign with the new one, swap, wait out the overlap or cut it short, delete.
#[derive(Subcommand)]
pub(super) enum CertificateCommand {
    /// Shows the certificates and until when the secondary is accepted.
    Show { app: AppKey },
    /// Makes a secondary; tokens of both are accepted from now on. One that there is already is replaced, and its tokens are
    /// refused.
    Add { app: AppKey },
    /// The secondary becomes the primary; the other is accepted for the overlap and then refused.
    Swap {
        app: AppKey,
        /// At most 30 days. A day is as long as a token can live that was signed the moment before.
        #[arg(long, value_name = "SECONDS", default_value_t = ACCESS_TOKEN_LIFE_S_MAX)]
        overlap_s: u32,
    },
    /// Tokens of the secondary are refused, now or later, and its sessions are closed then.
    Disable {
        app: AppKey,
        /// At most 30 days.
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        in_s: u32,
    },
    /// Deletes the secondary; its tokens are refused from now on.
    Delete { app: AppKey },
}

impl CertificateCommand {
    pub(super) fn app(&self) -> &AppKey {
        match self {
            Self::Show { app }
            | Self::Add { app }
            | Self::Swap { app, .. }
            | Self::Disable { app, .. }
            | Self::Delete { app } => app,
        }
    }

    /// What it changes; `None` when it only shows.
    pub(super) fn change(&self) -> Option<Change> {
        Some(match self {
            Self::Show { .. } => return None,
            Self::Add { .. } => Change::MakeSecondaryCertificate(Done {}),
            Self::Swap { overlap_s, .. } => {
                Change::SwapCertificates(SwapCertificates { overlap_s: Some(*overlap_s) })
            }
            Self::Disable { in_s, .. } => Change::DisableSecondaryInS(*in_s),
            Self::Delete { .. } => Change::DeleteSecondaryCertificate(Done {}),
        })
    }
}

/// Rules for tokens; what is not named stays as it is.
#[derive(Args)]
pub(super) struct TokenRules {
    pub(super) app: AppKey,
    /// The largest life of an AccessToken2 that is accepted, 60 to 86400; 0 is the documented day.
    #[arg(long, value_name = "SECONDS")]
    life_max_s: Option<u32>,
    /// By how much the clock of whoever issues tokens may be ahead, at most 300.
    #[arg(long, value_name = "SECONDS")]
    skew_s: Option<u32>,
    /// Whether a newer token of a user ends the user's older ones.
    #[arg(long)]
    single: Option<Switch>,
}

impl TokenRules {
    pub(super) fn changes(&self) -> impl Iterator<Item = Change> {
        let single = self.single.map(|switch| Change::SingleToken(matches!(switch, Switch::On)));
        [self.life_max_s.map(Change::TokenLifeMaxS), self.skew_s.map(Change::TokenSkewS), single]
            .into_iter()
            .flatten()
    }
}

/// The secondary certificate, and for how long it is accepted.
pub(super) fn describe_secondary(app: &App, now_ms: u64) -> String {
    let certificate = &app.certificate_secondary;
    match app.secondary_until_ms {
        _ if certificate.is_empty() => "none".to_owned(),
        0 => format!("{certificate} (accepted)"),
        _ if !accepts_secondary(app, now_ms) => format!("{certificate} (disabled)"),
        until_ms => format!("{certificate} (accepted for {} s more)", (until_ms - now_ms).div_ceil(1000)),
    }
}
