//! Proof of delivery moves cursors, in memory; the lane's worker writes them behind.

use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::router::{CloseSessionRequest, ConfirmRequest};

use crate::core::Core;
use crate::pull::View;

/// Positions of one confirmation; a session has at most as many queues as unproven pushes.
const POSITIONS_MAX: usize = 1000;

/// Moves cursors forward. A position in a queue that the user does not have is left out. `NotOwner` when another router
/// owns one of the channels; positions before it are taken then.
pub(crate) async fn confirm(core: &Core, request: ConfirmRequest) -> Result<()> {
    if request.positions.len() > POSITIONS_MAX {
        return Err(ErrorKind::InvalidArgument.with("too many positions in one confirmation"));
    }
    for proven in request.positions {
        let Some(view) = View::of(core, request.session.clone(), proven.queue).await? else { continue };
        let lane = core.lane_of(view.app, &view.channel_key);
        lane.with_place(core, &view.standing, &view.cursor, view.seat.as_ref(), |position| {
            position.prove(proven.id);
        })
        .await?;
    }
    Ok(())
}

/// Forgets a session and has what it proved written soon.
pub(crate) fn close_session(core: &Core, request: CloseSessionRequest) -> Result<()> {
    let session = request.session.unwrap_or_default();
    let app = bulkhead_model::AppUuid::from_slice(&session.app)?;
    if core.sessions.close(app, &session.user, session.session, request.lost) {
        for lane in &core.lanes {
            if lane.with(|state| state.has_unwritten()) {
                lane.flush.notify_one();
            }
        }
    }
    Ok(())
}
