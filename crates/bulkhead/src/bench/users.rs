//! The users of a run: made without passwords, logged in with tokens that are made here.

use std::time::Duration;

use bulkhead_chassis::SystemClock;
use bulkhead_client::{ClientError, NewUser, Rest};
use bulkhead_model::Clock;
use bulkhead_model::limits::ACCESS_TOKEN_LIFE_S_MAX;
use tokio::task::JoinSet;

use super::server::Server;
use crate::Failure;

/// Users of one call (features.md §3.2).
const BATCH: usize = 60;

/// Calls at one time, so that the server can commit several together.
const CALLS: usize = 8;

/// How often a call that was refused for its rate is made again.
const TRIES_MAX: u32 = 50;

/// A user with a token to log in with. Holds the token, so it has no `Debug`.
#[derive(Clone)]
pub(super) struct BenchUser {
    pub(super) name: String,
    pub(super) token: String,
}

/// Makes `count` users whose names start with `role`; no other run has the same.
pub(super) async fn make(server: &Server, role: &str, count: usize) -> Result<Vec<BenchUser>, Failure> {
    let prefix = format!("{role}_{:x}_", SystemClock.now_ms());
    let app_token = server.tokens.app_token(ACCESS_TOKEN_LIFE_S_MAX)?;
    let names: Vec<String> = (0..count).map(|number| format!("{prefix}{number}")).collect();
    let mut calls = JoinSet::new();
    for batch in names.chunks(BATCH) {
        if calls.len() >= CALLS
            && let Some(done) = calls.join_next().await
        {
            done.map_err(|_| Failure::refused("a registration failed"))??;
        }
        let users = batch.iter().map(|name| NewUser { username: name.clone(), password: None }).collect();
        calls.spawn(register(server.rest.clone(), app_token.clone(), users));
    }
    while let Some(done) = calls.join_next().await {
        done.map_err(|_| Failure::refused("a registration failed"))??;
    }
    names
        .into_iter()
        .map(|name| Ok(BenchUser { token: server.tokens.user_token(&name, ACCESS_TOKEN_LIFE_S_MAX)?, name }))
        .collect()
}

async fn register(rest: Rest, app_token: String, users: Vec<NewUser>) -> Result<(), ClientError> {
    let mut tries = 1;
    loop {
        match rest.register(&app_token, &users).await {
            Ok(registered) => match registered.failed.into_iter().next() {
                None => return Ok(()),
                Some((user, reason)) => return Err(ClientError::Invalid(format!("{user}: {reason}"))),
            },
            Err(ClientError::Rest { status: 429, .. }) if tries < TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => return Err(error),
        }
    }
}
