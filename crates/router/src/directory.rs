//! What the router asks auth about: apps and whether users exist. Answers are kept for a few seconds; that somebody does
//! not exist is never kept, because they may register and be written to in the next moment.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_api::AuthApi;
use bulkhead_model::limits::RECALL_WINDOW_MS;
use bulkhead_model::{AppUuid, ErrorKind, MessageId, Plan, Region, Result};
use bulkhead_proto::auth::{FindAppRequest, UserRequest, find_app_request};
use bytes::Bytes;
use moka::sync::Cache;

use crate::sequence::timely;

const KEPT_FOR: Duration = Duration::from_secs(5);
/// For how long an app's record is: until then it counts here as it was before a change.
const APP_KEPT_FOR: Duration = Duration::from_secs(1);
const APPS_MAX: u64 = 10_000;
const USERS_MAX: u64 = 200_000;

/// What the router knows of an app.
pub(crate) struct AppFacts {
    /// `org#app`.
    pub(crate) app_key: String,
    pub(crate) recall_disabled: bool,
    pub(crate) recall_window_ms: u64,
    /// How long the plan keeps messages, in milliseconds; `None` for a plan that this version does not know.
    pub(crate) retention_ms: Option<u64>,
}

impl AppFacts {
    /// The lowest id of a message that the plan keeps. Storage decides for each message; this is for what is told of many.
    pub(crate) fn floor_id(&self, now_ms: u64) -> u64 {
        self.retention_ms.map_or(0, |ms| MessageId::floor_of((now_ms + 1).saturating_sub(ms)).0)
    }
}

/// A user of an app, as a cache key.
pub(crate) type UserKey = (AppUuid, Box<str>);

pub(crate) struct Directory {
    auth: Arc<dyn AuthApi>,
    region: Region,
    call_timeout: Duration,
    apps: Cache<AppUuid, Arc<AppFacts>>,
    users: Cache<UserKey, ()>,
}

impl Directory {
    pub(crate) fn new(auth: Arc<dyn AuthApi>, region: Region, call_timeout: Duration) -> Self {
        Self {
            auth,
            region,
            call_timeout,
            apps: Cache::builder().max_capacity(APPS_MAX).time_to_live(APP_KEPT_FOR).build(),
            users: Cache::builder().max_capacity(USERS_MAX).time_to_live(KEPT_FOR).build(),
        }
    }

    /// `AppNotFound`; also for an app whose record names another region.
    pub(crate) async fn app(&self, app: AppUuid) -> Result<Arc<AppFacts>> {
        if let Some(facts) = self.apps.get(&app) {
            return Ok(facts);
        }
        let by = Some(find_app_request::By::Uuid(Bytes::copy_from_slice(&app.0)));
        let found = timely(self.call_timeout, self.auth.find_app(FindAppRequest { by })).await?;
        if found.region != self.region.name() {
            return Err(ErrorKind::AppNotFound.into());
        }
        let window_ms = if found.recall_window_ms == 0 { RECALL_WINDOW_MS } else { found.recall_window_ms };
        let facts = Arc::new(AppFacts {
            app_key: format!("{}#{}", found.org_name, found.app_name),
            recall_disabled: found.recall_disabled,
            recall_window_ms: window_ms,
            retention_ms: Plan::parse(&found.plan).ok().map(Plan::retention_ms),
        });
        self.apps.insert(app, facts.clone());
        Ok(facts)
    }

    /// Whether the user was found a moment ago.
    pub(crate) fn is_known(&self, user: &UserKey) -> bool {
        self.users.contains_key(user)
    }

    /// `UserNotFound`, with the words that the web SDK knows (msync.md §4).
    pub(crate) async fn expect_user(&self, user: &UserKey) -> Result<()> {
        let request = UserRequest { app: Bytes::copy_from_slice(&user.0.0), user: user.1.to_string() };
        let missing = || ErrorKind::UserNotFound.with(format!("username {} doesn't exist!", user.1));
        match timely(self.call_timeout, self.auth.find_user(request)).await {
            // Auth also finds a user by a registration uuid, which names nobody here.
            Ok(found) if *found.username != *user.1 => Err(missing()),
            Ok(_) => {
                self.users.insert(user.clone(), ());
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::UserNotFound => Err(missing()),
            Err(error) => Err(error),
        }
    }

    /// Forgets that the user exists.
    pub(crate) fn forget(&self, app: AppUuid, user: &str) {
        self.users.invalidate(&(app, user.into()));
    }
}
