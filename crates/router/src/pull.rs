//! A device pulls what it lacks of a queue. The log is the truth: what live delivery lost, a pull finds.

use bulkhead_model::limits::PULL_PAGE_MAX;
use bulkhead_model::{AppUuid, Channel, Result};
use bulkhead_proto::records::Message;
use bulkhead_proto::router::{Page, PageMessage, PullRequest, Queue, SessionRequest};
use bulkhead_store::{Row, Scan, Scope, tables};
use bytes::Bytes;

use crate::channels::key::ChannelRef;
use crate::channels::seat::{Seat, seat_of};
use crate::conversation::Mark;
use crate::core::Core;
use crate::keys::{CursorKey, StandingKey, id_bytes, id_of};
use crate::lane::decode;
use crate::publish::{channel_of, check_device, check_user, is_chat};

/// Bytes of messages after which a page ends.
const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Reads of the log for one page in which nothing is for this device; then the page ends empty and goes on later.
const READS_MAX: usize = 10;

/// Answers the next page for a device. What `key` proves moves its cursor first.
///
/// A page with messages never says that it is the last: the web SDK expects an empty one then (msync.md §3). `next_key`
/// of the last page is where the device stands.
pub(crate) async fn pull(core: &Core, request: PullRequest) -> Result<Page> {
    let Some(view) = View::of(core, request.session, request.queue).await? else {
        return Ok(Page { is_last: true, ..Page::default() });
    };
    let lane = core.lane_of(view.app, &view.channel_key);
    let seat = view.seat.as_ref();
    let (standing, cursor) = lane
        .with_place(core, &view.standing, &view.cursor, seat, |position| {
            position.prove(request.key);
            (position.standing.row, position.place.cursor())
        })
        .await?;
    let mut reader = Reader { position: (cursor.id, cursor.incoming), page: Page::default(), bytes: 0 };
    for _ in 0..READS_MAX {
        let rows = core.scan(view.scan(reader.position.0, standing.last_id)).await?;
        let reached_end = rows.len() < PULL_PAGE_MAX;
        let took_all = reader.take(&view, rows)?;
        if !reader.page.messages.is_empty() {
            reader.page.next_key = reader.position.0;
            let mark = reader.position;
            lane.with_place(core, &view.standing, &view.cursor, seat, |position| position.place.page = mark)
                .await?;
            return Ok(reader.page);
        }
        if reached_end && took_all {
            // Nothing up to here is for this device, which needs no proof. Some of it may have expired.
            let mark = (standing.last_id, standing.incoming);
            let at = lane
                .with_place(core, &view.standing, &view.cursor, seat, |position| {
                    position.skip(mark);
                    position.place.id
                })
                .await?;
            return Ok(Page { is_last: true, next_key: at, ..Page::default() });
        }
    }
    let mark = reader.position;
    lane.with_place(core, &view.standing, &view.cursor, seat, |position| position.skip(mark)).await?;
    Ok(Page { next_key: mark.0, ..Page::default() })
}

/// One device's view of one queue.
pub(crate) struct View {
    pub(crate) app: AppUuid,
    pub(crate) channel_key: String,
    pub(crate) standing: StandingKey,
    pub(crate) cursor: CursorKey,
    /// The user's place in a group.
    pub(crate) seat: Option<Seat>,
    user: String,
    device: String,
}

impl View {
    /// `None` for a queue that this user cannot have: rooms and threads are not taken, and groups by members only.
    pub(crate) async fn of(
        core: &Core,
        session: Option<SessionRequest>,
        queue: Option<Queue>,
    ) -> Result<Option<Self>> {
        let session = session.unwrap_or_default();
        let app = AppUuid::from_slice(&session.app)?;
        check_user(&session.user)?;
        check_device(&session.device)?;
        let channel = channel_of(&session.user, &queue.unwrap_or_default());
        let Ok(channel @ (Channel::Direct(..) | Channel::Group(_))) = channel else { return Ok(None) };
        let channel_key = channel.key();
        let seat = match channel {
            Channel::Group(_) => {
                let key = ChannelRef::new(app, channel_key.as_bytes());
                let Some(seat) = seat_of(core, key, &session.user).await? else { return Ok(None) };
                Some(seat)
            }
            _ => None,
        };
        Ok(Some(Self {
            app,
            standing: StandingKey::new(app, &session.user, channel_key.as_bytes()),
            cursor: CursorKey::new(app, &session.user, &session.device, channel_key.as_bytes()),
            channel_key,
            seat,
            user: session.user,
            device: session.device,
        }))
    }

    /// The log after `after_id` up to and with `last_id`: what comes later is delivered live.
    fn scan(&self, after_id: u64, last_id: u64) -> Scan {
        Scan {
            table: &tables::MESSAGES,
            scope: Scope::App(self.app),
            partition: Bytes::copy_from_slice(self.channel_key.as_bytes()),
            from: id_bytes(after_id + 1),
            to: id_bytes(last_id.max(after_id) + 1),
            descending: false,
            limit: PULL_PAGE_MAX,
        }
    }

    /// Whether a message is for this device.
    fn shows(&self, message: &Message) -> bool {
        let is_sender = message.from_user == self.user;
        let is_receiver = !is_sender || self.is_to_self();
        let is_for_others = !message.only_users.is_empty() && !message.only_users.contains(&self.user);
        !(message.recalled
            || (is_sender && message.from_device == self.device)
            || (is_receiver && !message.only_device.is_empty() && message.only_device != self.device)
            || (is_sender && message.hidden_from_sender)
            || (!is_sender && is_for_others))
    }

    /// Whether a message counted for this user when it was sent.
    fn counts(&self, message: &Message) -> bool {
        // What is sent to a group counts for all of it.
        let is_receiver = self.seat.is_some() || message.from_user != self.user || self.is_to_self();
        is_receiver && is_chat(message.kind())
    }

    fn is_to_self(&self) -> bool {
        self.seat.is_none() && self.channel_key == Channel::direct(&self.user, &self.user).key()
    }
}

/// Puts a page together.
struct Reader {
    /// The last row considered, and the count up to it.
    position: Mark,
    page: Page,
    bytes: usize,
}

impl Reader {
    /// Takes rows until the page is full; answers whether it took all.
    fn take(&mut self, view: &View, rows: Vec<Row>) -> Result<bool> {
        for row in rows {
            let id = id_of(&row.clustering);
            let message: Message = decode(Some(row.value))?;
            if view.shows(&message) {
                if self.page.messages.len() >= PULL_PAGE_MAX
                    || (self.bytes + message.meta.len() > PAGE_BYTES_MAX && !self.page.messages.is_empty())
                {
                    return Ok(false);
                }
                self.bytes += message.meta.len();
                self.page.messages.push(PageMessage { id, meta: message.meta.clone() });
            }
            self.position = (id, self.position.1 + u64::from(view.counts(&message)));
        }
        Ok(true)
    }
}
