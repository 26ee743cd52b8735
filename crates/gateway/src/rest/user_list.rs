//! All users of an app, page by page: list and delete (features.md §3.2).

use bulkhead_proto::auth::{ListUsersRequest, UserList};

use super::call::Call;
use super::caller::Caller;
use super::envelope::{Answer, Envelope};
use super::error::RestError;
use super::users::{delete_one, entity};

/// Users of a page when `limit` is absent, and at most (features.md §3.2).
const PAGE_DEFAULT: u32 = 10;
const PAGE_MAX: u32 = 100;

/// GET `/users?limit&cursor`, in the order of registration.
pub(super) async fn list(caller: Caller) -> Answer {
    caller.require_app()?;
    let call = &caller.call;
    let page = page(call).await?;
    let entities: Vec<_> = page.users.iter().map(entity).collect();
    let count = entities.len();
    Envelope::new(call, "get").params().entities(entities).count(count).cursor(page.next_cursor).respond()
}

/// DELETE `/users?limit&cursor`: deletes the first users, or those after the cursor.
pub(super) async fn delete(caller: Caller) -> Answer {
    caller.require_app()?;
    let call = &caller.call;
    let page = page(call).await?;
    let mut entities = Vec::with_capacity(page.users.len());
    for user in &page.users {
        entities.push(entity(&delete_one(call, &user.username).await?));
    }
    let count = entities.len();
    Envelope::new(call, "delete").params().entities(entities).count(count).cursor(page.next_cursor).respond()
}

async fn page(call: &Call) -> Result<UserList, RestError> {
    let request = ListUsersRequest {
        app: call.app_bytes(),
        cursor: call.query("cursor").unwrap_or_default().to_owned(),
        limit: call.limit(PAGE_DEFAULT, PAGE_MAX)?,
    };
    Ok(call.gateway.auth.list_users(request).await?)
}
