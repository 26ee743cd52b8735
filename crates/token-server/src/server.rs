//! What the token server does, whatever asks it to.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::{Error, ErrorKind, Result};
use moka::future::Cache;

use crate::limits::CallerRates;
use crate::map::{Entry, Mapped};
use crate::signer::SignedToken;
use crate::user_id::UserId;
use crate::{AppRegion, Signer, UserMap};

/// Usernames of which is known that they are being made.
const MAKING_MAX: u64 = 10_000;

/// How long it is remembered that one was made, for those who had looked before.
const MADE_KEPT: Duration = Duration::from_secs(10);

/// How the token server behaves; units as in the names.
#[derive(Clone, Debug)]
pub struct TokenServerSettings {
    /// Life of a user token when the caller does not say.
    pub token_life_s: u32,
    /// Shortest life that a caller may ask for.
    pub token_life_s_min: u32,
    /// Longest life that a caller may ask for.
    pub token_life_s_max: u32,
    /// Calls of one caller a second.
    pub caller_rate_per_s: u32,
    /// Open connections; further ones wait.
    pub connections_max: usize,
    /// Largest body of a call.
    pub body_bytes_max: usize,
    /// A call that takes longer is answered 503.
    pub request_limit_ms: u64,
}

/// The token server of one app.
pub struct TokenServer {
    pub(crate) settings: TokenServerSettings,
    pub(crate) rates: CallerRates,
    map: UserMap,
    signer: Arc<Signer>,
    region: Arc<AppRegion>,
    /// Usernames whose chat users are being made, or were just now: of all who wait for one, one makes it.
    making: Cache<String, ()>,
}

/// A token for a user, who is known by `username` in chat.
pub(crate) struct UserToken {
    pub(crate) token: SignedToken,
    pub(crate) username: String,
}

impl TokenServer {
    /// A server that accepts nobody until [`TokenServer::serve`].
    pub fn new(
        settings: TokenServerSettings,
        map: UserMap,
        signer: Arc<Signer>,
        region: Arc<AppRegion>,
    ) -> Arc<Self> {
        let rates = CallerRates::new(settings.caller_rate_per_s);
        let making = Cache::builder().max_capacity(MAKING_MAX).time_to_live(MADE_KEPT).build();
        Arc::new(Self { settings, rates, map, signer, region, making })
    }

    /// A token for a user. A user who is new gets a name, which is durable before it is answered, and is made in the
    /// region; what failed halfway is done by the next call, under the same name.
    ///
    /// Errors: `InvalidArgument` for a life outside the bounds; `Unavailable` when a user is new and the region is away.
    pub(crate) async fn user_token(&self, user: &UserId, life_s: Option<u32>) -> Result<UserToken> {
        let life_s = self.life_s(life_s)?;
        let entry = self.map.find_or_make(user).await?;
        if !entry.mapped.is_made {
            let made = self.making.try_get_with(entry.mapped.username.clone(), self.make(&entry)).await;
            made.map_err(|error| Error::clone(&error))?;
        }
        let username = entry.mapped.username;
        let token = self.signer.current().user_token(&username, life_s)?;
        Ok(UserToken { token, username })
    }

    async fn make(&self, entry: &Entry) -> Result<()> {
        self.map.index(entry).await?;
        self.region.make_user(&entry.mapped.username).await?;
        self.map.mark_made(entry).await
    }

    /// A token of the app itself: the same one for some time.
    pub(crate) fn app_token(&self) -> Result<SignedToken> {
        self.signer.current().app_token()
    }

    /// Forgets a user and answers what was known. `UserNotFound`.
    pub(crate) async fn forget(&self, user: &UserId) -> Result<Mapped> {
        self.map.remove(user).await?.ok_or_else(|| ErrorKind::UserNotFound.into())
    }

    /// The user who is known by a username. `UserNotFound`.
    pub(crate) async fn find_by_username(&self, username: &str) -> Result<Mapped> {
        self.map.find_by_username(username).await?.ok_or_else(|| ErrorKind::UserNotFound.into())
    }

    /// What stands for a user in the log.
    pub(crate) fn subject(&self, user: &UserId) -> String {
        self.map.subject(user)
    }

    fn life_s(&self, asked: Option<u32>) -> Result<u32> {
        let (min, max) = (self.settings.token_life_s_min, self.settings.token_life_s_max);
        match asked {
            None => Ok(self.settings.token_life_s),
            Some(life_s) if (min..=max).contains(&life_s) => Ok(life_s),
            Some(_) => {
                Err(ErrorKind::InvalidArgument.with(format!("ttl_s must be from {min} to {max} seconds")))
            }
        }
    }
}
