//! A user is gone: their sessions end and everything that the router keeps about them is deleted. The messages stay in
//! the logs of their channels, which belong to the others too.

use bulkhead_model::{AppUuid, Result};
use bulkhead_proto::router::{KickReason, UserRequest};
use bulkhead_store::{Mutation, Scope, Table, tables};
use bytes::Bytes;

use crate::channels::submit;
use crate::core::Core;
use crate::keys::{SenderKey, user_partition};
use crate::publish::check_user;
use crate::unread::scan_of;
use crate::work::Queues;

/// Pages of a thousand rows in which the user's devices are looked for.
const PAGES_MAX: usize = 20;

pub(crate) async fn forget_user(core: &Core, queues: &Queues, request: UserRequest) -> Result<()> {
    let app = AppUuid::from_slice(&request.app)?;
    let user = request.user.as_str();
    check_user(user)?;
    core.directory.forget(app, user);
    core.sessions.disconnect(app, user, "", KickReason::UserRemoved);

    let left = submit::forget_user(core, queues, app, user).await?;
    let devices = core.scan_all(scan_of(&tables::DEVICES, app, user), PAGES_MAX).await?;
    let mut mutations = vec![
        everything(&tables::CONVERSATIONS, app, user_partition(user)),
        everything(&tables::DEVICES, app, user_partition(user)),
    ];
    mutations.extend(left.iter().map(|channel| Mutation::Delete(channel.membership_row(user))));
    for device in devices {
        // Cursors have a zero byte in their key; a device's own row has none.
        if let Ok(name) = std::str::from_utf8(&device.clustering)
            && !name.contains('\0')
        {
            mutations.push(everything(&tables::DEDUP, app, SenderKey::new(app, user, name).partition()));
        }
    }
    // Before and after: cursors that moved must not be written behind the deletion.
    forget_in_memory(core, app, user);
    core.write(mutations).await?;
    forget_in_memory(core, app, user);
    Ok(())
}

fn forget_in_memory(core: &Core, app: AppUuid, user: &str) {
    core.dedup.forget(|sender| sender.is_of(app, user));
    for lane in &core.lanes {
        lane.with(|state| state.forget(|key| key.is_of(app, user), |key| key.is_of(app, user)));
    }
}

fn everything(table: &'static Table, app: AppUuid, partition: Bytes) -> Mutation {
    Mutation::DeleteRange { table, scope: Scope::App(app), partition, from: Bytes::new(), to: Bytes::new() }
}
