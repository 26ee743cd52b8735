//! Sessions outlive the router that knew them: they are opened again at the next one, and look for what they missed.

use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::auth::UserRequest;
use bulkhead_proto::router::KickReason;
use futures_util::stream::{self, StreamExt};

use super::calls::{CALL_LIMIT, within};
use super::hub::SessionHandle;
use super::login::close_session;
use super::translate;
use crate::Gateway;

/// Sessions that are opened at one time.
const AT_ONCE: usize = 64;

/// Opens all sessions again, at the router to which the gateway has just been attached.
pub(crate) async fn reopen_sessions(gateway: &Gateway) {
    let attachment = gateway.attachment.current().await;
    let sessions = gateway.hub.sessions();
    let count = sessions.len();
    stream::iter(sessions)
        .for_each_concurrent(AT_ONCE, async |session| {
            // With another router there is another try.
            if reopen(gateway, &session).await.is_err() && gateway.attachment.holds(attachment) {
                session.outbox.forget();
            }
        })
        .await;
    metrics::counter!("bulkhead_gateway_sessions_reopened_total").increment(count as u64);
}

async fn reopen(gateway: &Gateway, session: &SessionHandle) -> Result<()> {
    if session.has_ended() {
        return Ok(());
    }
    within(CALL_LIMIT, gateway.router.open_session(session.opening.clone())).await?;
    if let Some(reason) = within(CALL_LIMIT, unwelcome(gateway, session)).await? {
        session.outbox.kick(translate::operation(reason), "");
    } else if session.has_ended() {
        // Its client went meanwhile, and the router heard of that too early.
        close_session(gateway, session.session(), true).await;
    } else {
        // What came between the two routers is in the log.
        session.outbox.lose();
    }
    Ok(())
}

/// Why a session may not go on: a disconnect finds none that is between two routers. Asked after it was opened, because from
/// then on it is found.
async fn unwelcome(gateway: &Gateway, session: &SessionHandle) -> Result<Option<KickReason>> {
    let opening = &session.opening;
    let who = UserRequest { app: opening.app.clone(), user: opening.user.clone() };
    let user = match gateway.auth.find_user(who).await {
        Ok(user) => user,
        Err(error) if error.kind() == ErrorKind::UserNotFound => return Ok(Some(KickReason::UserRemoved)),
        Err(error) => return Err(error),
    };
    Ok(if user.created_ms > session.since_ms {
        Some(KickReason::UserRemoved)
    } else if !user.activated {
        Some(KickReason::OtherDevice)
    } else if user.tokens_valid_from_ms > session.since_ms {
        Some(KickReason::PasswordChanged)
    } else {
        None
    })
}
