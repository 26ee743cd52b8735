//! What a session commands of the other services is begun here, and lands in its [`Connection`](super::connection).

use std::collections::VecDeque;
use std::sync::Arc;

use bulkhead_api::PendingPublish;
use bulkhead_msync::{Command, Join, Publish, Queue};
use bulkhead_proto::router::{ConfirmRequest, JoinRequest, MemberRequest, PullRequest};

use super::calls::{CALL_LIMIT, Calls, Outcome, within};
use super::login::Client;
use super::translate;
use crate::Gateway;

/// A message that is on its way to the router.
pub(super) struct Publishing {
    pub(super) client_id: u64,
    pub(super) to: Queue,
    pub(super) since_ms: u64,
    pub(super) pending: PendingPublish,
    /// Ends with the answer.
    _span: tracing::Span,
}

/// Hands a message to the router; its answer comes in the order of the messages.
pub(super) fn publish(
    gateway: &Gateway,
    client: &Client,
    publish: Publish,
    publishing: &mut VecDeque<Publishing>,
) {
    let (client_id, to) = (publish.client_id, publish.to.clone());
    let mut request = translate::publish(publish, client.app(), client.user(), client.device());
    gateway.hub.tell_room(&mut request);
    let span = bulkhead_api::path::begin();
    let pending = span.in_scope(|| gateway.router.publish(request));
    publishing.push_back(Publishing {
        client_id,
        to,
        since_ms: gateway.clock.now_ms(),
        pending,
        _span: span,
    });
}

/// Begins a call whose outcome is looked at when it is there.
pub(super) fn call(gateway: &Arc<Gateway>, client: &Client, command: Command, calls: &mut Calls) {
    let router = Arc::clone(&gateway.router);
    let session = client.session();
    match command {
        Command::Unread => {
            calls.start(async move { Outcome::Unread(within(CALL_LIMIT, router.unread(session)).await) });
        }
        Command::Recount => {
            calls.start(async move { Outcome::Recount(within(CALL_LIMIT, router.unread(session)).await) });
        }
        Command::Pull { queue, key } => calls.start(async move {
            let request =
                PullRequest { session: Some(session), queue: Some(translate::router_queue(&queue)), key };
            let page = within(CALL_LIMIT, router.pull(request)).await;
            Outcome::Page(queue, page)
        }),
        Command::Confirm(positions) => calls.start(async move {
            let positions = translate::positions(&positions);
            let request = ConfirmRequest { session: Some(session), positions };
            if let Err(error) = within(CALL_LIMIT, router.confirm(request)).await {
                tracing::debug!(%error, "a proof of delivery was not taken");
            }
            Outcome::Confirmed
        }),
        Command::Join(join) => calls.start(async move {
            let Join { client_id, room, ext, leave_other_rooms } = *join;
            let request = JoinRequest {
                app: session.app,
                channel: Some(translate::router_queue(&room)),
                user: session.user,
                device: session.device,
                ext,
                leave_other_rooms,
            };
            Outcome::Joined(client_id, room, within(CALL_LIMIT, router.join(request)).await)
        }),
        Command::Leave { client_id, room } => calls.start(async move {
            let request = MemberRequest {
                app: session.app,
                channel: Some(translate::router_queue(&room)),
                user: session.user,
                device: session.device,
            };
            Outcome::Left(client_id, room, within(CALL_LIMIT, router.leave(request)).await)
        }),
        Command::Send(_) | Command::Ping(_) | Command::Login(_) | Command::Publish(_) | Command::Close(_) => {
        }
    }
}
