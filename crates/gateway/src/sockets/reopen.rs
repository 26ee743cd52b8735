//! Sessions outlive the router that knew them: they are opened again at the next one, and look for what they missed.
//!
//! Who was deactivated, deleted or had a token taken back meanwhile needs no look here: [`standing`](super::standing) hears
//! of it from the auth service and closes sessions whether they have a router or not.

use bulkhead_model::Result;
use futures_util::stream::{self, StreamExt};

use super::calls::{CALL_LIMIT, within};
use super::hub::SessionHandle;
use super::login::close_session;
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
    if session.has_ended() {
        // Its client went meanwhile, and the router heard of that too early.
        close_session(gateway, session.session(), true).await;
    } else {
        // What came between the two routers is in the log.
        session.outbox.lose();
    }
    Ok(())
}
