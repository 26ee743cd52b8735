//! A session opens. It is registered first, so that whatever becomes durable from then on reaches it live, and only then
//! what it lacks is read: a message can come both ways, but not neither way.

use std::collections::{HashMap, HashSet};

use bulkhead_bus::Topic;
use bulkhead_model::{AppUuid, ErrorKind, MessageId, Result};
use bulkhead_proto::records::{Cursor, Device};
use bulkhead_proto::router::bus_frame::Signal;
use bulkhead_proto::router::{
    OpenSessionRequest, OpenedSession, SessionOpened, SessionRequest, UnreadQueues,
};
use bulkhead_store::RowKey;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use prost::Message;

use crate::channels::read;
use crate::conversation::Place;
use crate::core::Core;
use crate::keys::CursorKey;
use crate::lane::{decode, put};
use crate::publish::{check_device, check_user};
use crate::sequence::timely;
use crate::unread::{self, Standpoint};

/// How often the instant of the last login is written; a device that comes more often costs no write.
const LOGIN_NOTED_EVERY_MS: u64 = 24 * 60 * 60 * 1000;

/// Rows of other routers' channels that are renewed at once.
const RENEWALS_AT_ONCE: usize = 16;

/// Longest text that a device may say about itself or leave for the device that it forces out, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// Longest name of a platform, in bytes.
const PLATFORM_BYTES_MAX: usize = 64;

pub(crate) async fn open_session(core: &Core, request: OpenSessionRequest) -> Result<OpenedSession> {
    let app = check(&request)?;
    let opened_ms = core.sequencer.now_ms();
    core.sessions.open(app, &request, opened_ms)?;
    if core.others.listen() {
        let opened = SessionOpened {
            app: request.app.clone(),
            user: request.user.clone(),
            device: request.device.clone(),
            session: request.session,
            opened_ms,
        };
        let topic = Topic::user(app, &request.user);
        core.others.tell(vec![core.others.frame(topic, Signal::Opened(opened))]).await;
    }
    let opened = catch_up(core, app, &request).await;
    if opened.is_err() {
        core.sessions.close(app, &request.user, request.session, true);
    }
    opened
}

/// The queues in which a device lacks messages now.
pub(crate) async fn unread(core: &Core, request: SessionRequest) -> Result<UnreadQueues> {
    let app = AppUuid::from_slice(&request.app)?;
    check_user(&request.user)?;
    check_device(&request.device)?;
    let record = core.get_many(vec![device_row(app, &request.user, &request.device)]).await?.pop().flatten();
    let record: Device = decode(record)?;
    let conversations = unread::conversations(core, app, &request.user).await?;
    let queues = unread::behind(core, app, &request.user, &request.device, &record, &conversations).await?;
    Ok(UnreadQueues { queues })
}

async fn catch_up(core: &Core, app: AppUuid, request: &OpenSessionRequest) -> Result<OpenedSession> {
    // Before anything is read: what is not durable at this instant has a later id.
    let settled_ms = core.settled_before_ms();
    let (record, memberships) = tokio::try_join!(
        core.get_many(vec![device_row(app, &request.user, &request.device)]),
        read::memberships(core, app, &request.user),
    )?;
    // From here on messages of the user's groups reach the session; what was before is read now.
    let channels = memberships.iter().map(|(key, _)| key.clone()).collect();
    core.sessions.know_channels(app, &request.user, request.session, channels);
    core.sessions.listening().await;
    let conversations = unread::conversations_among(core, app, &request.user, memberships).await?;
    match record.into_iter().next().flatten() {
        Some(record) => welcome_back(core, app, request, decode(Some(record))?, &conversations).await,
        None => welcome(core, app, request, settled_ms, &conversations).await,
    }
}

/// A device that is here for the first time receives what no device of its user has taken: it gets a cursor where the
/// others are, in every conversation that there is.
async fn welcome(
    core: &Core,
    app: AppUuid,
    request: &OpenSessionRequest,
    settled_ms: u64,
    conversations: &[Standpoint],
) -> Result<OpenedSession> {
    let mut record = describe(request, core.sequencer.now_ms());
    record.since_id = MessageId::floor_of(settled_ms.saturating_sub(core.others_lag_ms())).0;
    let mut cursors = HashMap::with_capacity(conversations.len());
    let mut mutations = Vec::with_capacity(conversations.len() + 1);
    for Standpoint { key, row, .. } in conversations {
        let cursor = Cursor { id: row.taken_id, incoming: row.taken_incoming };
        let cursor_key = CursorKey::new(app, &request.user, &request.device, key.as_bytes());
        mutations.push(put(cursor_key.row(), &cursor));
        cursors.insert(key.clone(), cursor);
    }
    // Last, so that a device whose cursors were not all written is still new.
    mutations.push(put(device_row(app, &request.user, &request.device), &record));
    core.write(mutations).await?;
    let (user, device) = (&request.user, &request.device);
    let behind = unread::behind_of(core, app, user, device, &record, conversations, &cursors).await?;
    Ok(OpenedSession { behind })
}

/// A device that was here before receives what it has not taken.
async fn welcome_back(
    core: &Core,
    app: AppUuid,
    request: &OpenSessionRequest,
    record: Device,
    conversations: &[Standpoint],
) -> Result<OpenedSession> {
    let (user, device) = (&request.user, &request.device);
    let now_ms = core.sequencer.now_ms();
    if now_ms < record.last_login_ms + LOGIN_NOTED_EVERY_MS {
        let behind = unread::behind(core, app, user, device, &record, conversations).await?;
        return Ok(OpenedSession { behind });
    }
    let noted = Device { since_id: record.since_id, ..describe(request, now_ms) };
    core.write(vec![put(device_row(app, user, device), &noted)]).await?;
    let cursors = unread::cursors(core, app, user, device).await?;
    let mut of_others = Vec::new();
    let kept: HashSet<&str> = conversations.iter().map(|one| one.key.as_str()).collect();
    for (key, cursor) in &cursors {
        // Rows of devices expire when they are not written for long; a cursor must not go before its device, unless nothing
        // is kept of what it stands in.
        if !kept.contains(key.as_str()) {
            continue;
        }
        let cursor_key = CursorKey::new(app, user, device, key.as_bytes());
        if core.ownership.owns(cursor_key.slot()) {
            let place = Place::stored(cursor);
            core.lane_of(app, key).with(|state| state.put_place(&cursor_key, place, Place::soil));
        } else {
            of_others.push(renew_row(core, cursor_key, cursor));
        }
    }
    stream::iter(of_others).buffer_unordered(RENEWALS_AT_ONCE).try_collect::<()>().await?;
    let behind = unread::behind_of(core, app, user, device, &record, conversations, &cursors).await?;
    Ok(OpenedSession { behind })
}

/// Has a cursor row that another router writes live on: as it is, or not at all if it moved meanwhile.
async fn renew_row(core: &Core, key: CursorKey, cursor: &Cursor) -> Result<()> {
    let value = Bytes::from(cursor.encode_to_vec());
    let change = core.store.compare_and_set(key.row(), Some(value.clone()), value);
    timely(core.call_timeout(), change).await.map(drop)
}

fn check(request: &OpenSessionRequest) -> Result<AppUuid> {
    let app = AppUuid::from_slice(&request.app)?;
    check_user(&request.user)?;
    check_device(&request.device)?;
    if request.device.is_empty() || request.session == 0 {
        return Err(ErrorKind::InvalidArgument.with("a session has a device and a number"));
    }
    let texts = [&request.platform, &request.device_name, &request.device_uuid, &request.login_ext];
    if texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(ErrorKind::InvalidArgument.with("a device's description is too long"));
    }
    if request.platform.len() > PLATFORM_BYTES_MAX {
        return Err(ErrorKind::InvalidArgument.with("a platform has a short name"));
    }
    Ok(app)
}

fn describe(request: &OpenSessionRequest, now_ms: u64) -> Device {
    Device {
        since_id: 0,
        platform: request.platform.clone(),
        name: request.device_name.clone(),
        uuid: request.device_uuid.clone(),
        last_login_ms: now_ms,
    }
}

fn device_row(app: AppUuid, user: &str, device: &str) -> RowKey {
    CursorKey::new(app, user, device, &[]).device_row()
}
