//! A page of what a user may see of a channel.

use bulkhead_model::limits::HISTORY_PAGE_MAX;
use bulkhead_model::{AppUuid, Channel, ErrorKind, MessageId, Result};
use bulkhead_proto::records::{ContentKind, Message};
use bulkhead_proto::router::{HistoryRequest, Page, PageMessage, QueueKind};
use bulkhead_store::{Scan, Scope, tables};
use bytes::Bytes;

use crate::channels::key::{ChannelRef, is_of_many};
use crate::channels::read;
use crate::channels::seat::seat_of;
use crate::core::Core;
use crate::keys::{id_bytes, id_of};
use crate::lane::decode;
use crate::publish::{channel_of, check_user, is_chat};

/// Rows that one page may look at; a filter that lets little through gets shorter pages, not longer waits.
const ROWS_CONSIDERED_MAX: usize = 500;

/// Answers a page. `next_key` is the id of the last row that was considered; 0 when there was none.
pub(crate) async fn history(core: &Core, request: HistoryRequest) -> Result<Page> {
    let app = AppUuid::from_slice(&request.app)?;
    check_user(&request.user)?;
    let limit = request.limit as usize;
    if !(1..=HISTORY_PAGE_MAX).contains(&limit) {
        return Err(ErrorKind::InvalidArgument.with("limit must be between 1 and 50"));
    }
    let queue = request.queue.clone().unwrap_or_default();
    let mut channel = channel_of(&request.user, &queue)?;
    let mut bounds = Bounds::of(&request);
    if is_of_many(&channel) {
        let mut key = ChannelRef::new(app, channel.key().as_bytes());
        let mut seat = seat_of(core, key.clone(), &request.user).await?;
        if let (None, Channel::Group(id)) = (&seat, &channel) {
            // Clients ask for a room's history as for a group's.
            let room = Channel::Room(id.clone());
            let room_key = ChannelRef::new(app, room.key().as_bytes());
            seat = seat_of(core, room_key.clone(), &request.user).await?;
            if seat.is_some() {
                (key, channel) = (room_key, room);
            }
        }
        let Some(seat) = seat else { return Err(read::why_no_seat(core, &key).await) };
        // A room is open to all, so that those who come see what was said. A group's past is its members' of then.
        if !key.is_room() {
            bounds.leave(seat.joined.0, true);
        }
    } else if queue.kind() != QueueKind::Direct {
        return Err(ErrorKind::ChannelNotFound.into());
    }
    let mut page = Page::default();
    let mut considered = 0;
    while considered < ROWS_CONSIDERED_MAX {
        if bounds.is_empty() {
            page.is_last = true;
            return Ok(page);
        }
        // One more than wanted tells whether anything follows.
        let wanted = limit + 1 - page.messages.len();
        let rows = core.scan(bounds.scan(app, &channel.key(), request.towards_newer, wanted)).await?;
        let found = rows.len();
        for row in rows {
            let message: Message = decode(Some(row.value))?;
            let shown = is_shown(&request, &message);
            if shown && page.messages.len() >= limit {
                return Ok(page);
            }
            let id = id_of(&row.clustering);
            page.next_key = id;
            bounds.leave(id, request.towards_newer);
            if shown {
                page.messages.push(PageMessage { id, meta: message.meta });
            }
        }
        considered += found;
        if found < wanted {
            page.is_last = true;
            return Ok(page);
        }
    }
    Ok(page)
}

/// Ids between which a page lies: from inclusive, to exclusive.
struct Bounds {
    from: u64,
    to: u64,
}

impl Bounds {
    fn of(request: &HistoryRequest) -> Self {
        let floor = |ms: u64| MessageId::floor_of(ms).0;
        let mut bounds = Self {
            from: if request.from_ms == 0 { 0 } else { floor(request.from_ms) },
            to: if request.to_ms == 0 { u64::MAX } else { floor(request.to_ms.saturating_add(1)) },
        };
        if request.start_id != 0 {
            bounds.leave(request.start_id, request.towards_newer);
        }
        bounds
    }

    /// Leaves behind everything up to and with `id`.
    fn leave(&mut self, id: u64, towards_newer: bool) {
        if towards_newer {
            self.from = self.from.max(id.saturating_add(1));
        } else {
            self.to = self.to.min(id);
        }
    }

    fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    fn scan(&self, app: AppUuid, channel_key: &str, towards_newer: bool, limit: usize) -> Scan {
        Scan {
            table: &tables::MESSAGES,
            scope: Scope::App(app),
            partition: Bytes::copy_from_slice(channel_key.as_bytes()),
            from: id_bytes(self.from),
            to: id_bytes(self.to),
            descending: !towards_newer,
            limit,
        }
    }
}

fn is_shown(request: &HistoryRequest, message: &Message) -> bool {
    let user = &request.user;
    is_chat(message.kind())
        && message.content() != ContentKind::Command
        && !message.recalled
        && !message.history_hidden_for.contains(user)
        && (message.only_users.is_empty() || message.only_users.contains(user) || message.from_user == *user)
        && (message.only_device.is_empty() || message.from_user == *user)
        && (request.contents.is_empty() || request.contents.contains(&message.content))
        && (request.sender.is_empty() || request.sender == message.from_user)
}
