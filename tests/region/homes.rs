//! Who asks a region for an app of another one is told the public address of that one, over REST and at the login on the
//! socket. The answer is known from configuration: nobody is asked for it.

use anyhow::{Context, Result, ensure};
use bulkhead_client::ClientError;
use serde_json::Value;

use crate::chat;
use crate::regions::Regions;

/// Asks every region for the apps of both others.
pub(crate) fn are_told(regions: &Regions) -> Result<()> {
    for asked in regions.all() {
        for home in regions.all().iter().filter(|home| home.region() != asked.region()) {
            let (app, url) = (home.app(), home.rest_url(0));
            let tokens = chat::tokens(app)?;
            let path = format!("/app-id/{}/users/alice", app.app_id);
            let app_token = tokens.app_token(3600)?;
            regions.inside(asked.region(), || {
                let runtime = chat::runtime()?;
                let (status, answer) = runtime.block_on(get(&asked.rest_url(0), &path, &app_token))?;
                ensure!(status == 421, "{}: {status} {answer}", asked.region());
                let told = answer["error_description"].as_str().context("421 says why")?;
                ensure!(told.contains(&url), "{} tells {told}", asked.region());
                match runtime.block_on(chat::log_in(asked, 1, &tokens, "alice")) {
                    Ok(_) => anyhow::bail!("{} lets in who lives in {}", asked.region(), home.region()),
                    Err(error) => match error.downcast_ref() {
                        Some(ClientError::Refused { reason, .. }) if reason.contains(&url) => Ok(()),
                        _ => Err(error).context("the login was refused in another way"),
                    },
                }
            })?;
            // Where it was sent to, the same question is answered.
            let (status, answer) =
                regions.inside(home.region(), || chat::runtime()?.block_on(get(&url, &path, &app_token)))?;
            ensure!(status == 200, "{} answers {status} for its own app: {answer}", home.region());
        }
    }
    Ok(())
}

async fn get(url: &str, path: &str, token: &str) -> Result<(u16, Value)> {
    let answer = reqwest::Client::new().get(format!("{url}{path}")).bearer_auth(token).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}
