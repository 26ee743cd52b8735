//! A certificate is replaced while everything runs.

use anyhow::{Context, Result, ensure};
use bulkhead_model::Clock;
use bulkhead_testkit::{Composition, TestRegion};
use bulkhead_token::SignedToken;

use crate::server::{TokenServer, write_secret};
use crate::tokens::log_in;

fn is_signed_by(token: &str, certificate: &str) -> bool {
    let now_s = bulkhead_chassis::SystemClock.now_ms() / 1000;
    SignedToken::decode(token).is_ok_and(|token| token.verify(&[certificate], now_s, 5).is_ok())
}

async fn until_signed_by(server: &TokenServer, certificate: &str) -> Result<()> {
    crate::until("the other certificate signs", || async {
        server.token_of("a").await.is_ok_and(|user| is_signed_by(&user.token, certificate))
    })
    .await
}

/// One step, by the operator of the region; answers the primary and the secondary certificate after it.
fn rotate(region: &TestRegion, step: &str) -> Result<(String, String)> {
    let app = region.app().app_key.replace('#', "/");
    let shown = region.admin(&["app", "certificate", step, &app])?.context("an operator")?;
    let text = |field: &str| shown[field].as_str().unwrap_or_default().to_owned();
    Ok((text("app_certificate"), text("app_certificate_secondary")))
}

#[test]
fn a_rotation_has_no_gap_and_no_restart_and_both_certificates_are_accepted_until_one_is_deleted() {
    crate::in_composition(Composition::Roles, |region| async move {
        let old = region.app().app_certificate.clone();
        let server = TokenServer::start_with(&region, "").await?;
        let before = server.token_of("a").await?;
        ensure!(is_signed_by(&before.token, &old), "the primary does not sign");

        let (primary, new) = rotate(&region, "add")?;
        ensure!(primary == old && new.len() == 32 && new != old, "another rotation than expected");
        write_secret(&server.folder().join("primary"), &new)?;
        until_signed_by(&server, &new).await?;
        for token in [&before.token, &server.token_of("a").await?.token] {
            log_in(&region, &before.username, token).await?;
        }
        // A new user needs a token of the app that the region accepts.
        server.token_of("made while both are accepted").await?;

        rotate(&region, "swap")?;
        log_in(&region, &before.username, &before.token).await?;
        rotate(&region, "delete")?;
        crate::until("what the old one signed is refused", || async {
            log_in(&region, &before.username, &before.token).await.is_err()
        })
        .await?;
        let after = server.token_of("made after the rotation").await?;
        log_in(&region, &after.username, &after.token).await?;
        Ok(())
    });
}

#[test]
fn while_the_region_refuses_the_primary_the_secondary_signs_and_a_bad_file_changes_nothing() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let known = region.app().app_certificate.clone();
        let folder = tempfile::tempdir()?;
        let secondary = folder.path().join("secondary");
        write_secret(&secondary, &"ab".repeat(16))?;
        let more = format!("app_certificate_secondary_file = \"{}\"", secondary.display());
        let server = TokenServer::start_with(&region, &more).await?;
        until_signed_by(&server, &known).await?;

        // The back end was given a certificate before the region knew it.
        write_secret(&secondary, &known)?;
        write_secret(&server.folder().join("primary"), &"cd".repeat(16))?;
        crate::until("the new files are read", || async { server.log().contains("is in use") }).await?;
        until_signed_by(&server, &known).await?;
        let user = server.token_of("new while the primary is refused").await?;
        log_in(&region, &user.username, &user.token).await?;

        write_secret(&server.folder().join("primary"), "no certificate")?;
        crate::until("the bad file is refused", || async { server.log().contains("is not taken") }).await?;
        let user = server.token_of("new while a file is bad").await?;
        log_in(&region, &user.username, &user.token).await?;
        ensure!(!server.log().contains(&known), "a certificate is in the log");
        Ok(())
    });
}
