//! The calls that read of groups and rooms. They read the store: what is answered as changed is durable.

use bulkhead_model::{AppUuid, Error, ErrorKind, Result};
use bulkhead_proto::records;
use bulkhead_proto::router::{
    ChannelInfo, ChannelPage, ChannelRequest, ChannelsOfAppRequest, ChannelsOfUserRequest,
    ListMembersRequest, Member, MemberPage, MemberRequest, QueueKind,
};
use bulkhead_store::{Row, SCAN_ROWS_MAX, Scan, Scope, Table, tables};
use bytes::Bytes;

use super::change::{info, role};
use super::key::{ChannelRef, GROUPS, PUBLIC_GROUPS, ROOMS};
use super::limits::{CHANNELS_PER_USER_MAX, PAGE_MAX, PAGED_ENTRIES_MAX};
use super::submit::named;
use crate::core::Core;
use crate::lane::decode;
use crate::publish::check_user;
use crate::unread::scan_of;

/// Pages of a thousand rows that hold a user's memberships; somewhat more than the limit, which two joins may pass at
/// once.
const MEMBERSHIP_PAGES_MAX: usize = CHANNELS_PER_USER_MAX / SCAN_ROWS_MAX + 1;

pub(crate) async fn channel(core: &Core, request: ChannelRequest) -> Result<ChannelInfo> {
    let key = named(&request.app, request.channel.as_ref())?;
    let record = record_of(core, &key).await?.ok_or(ErrorKind::ChannelNotFound)?;
    let Some(actor) = request.actor else { return Ok(info(&key, &record, None)) };
    let member = member_of(core, &key, &actor.user).await?;
    if member.is_none() && !record.public {
        return Err(ErrorKind::ChannelNotFound.into());
    }
    Ok(info(&key, &record, member.as_ref()))
}

pub(crate) async fn member(core: &Core, request: MemberRequest) -> Result<Member> {
    let key = named(&request.app, request.channel.as_ref())?;
    check_user(&request.user)?;
    if record_of(core, &key).await?.is_none() {
        return Err(ErrorKind::ChannelNotFound.into());
    }
    let member = member_of(core, &key, &request.user).await?;
    Ok(shown(request.user, member.as_ref()))
}

pub(crate) async fn members(core: &Core, request: ListMembersRequest) -> Result<MemberPage> {
    let key = named(&request.app, request.channel.as_ref())?;
    let record = record_of(core, &key).await?.ok_or(ErrorKind::ChannelNotFound)?;
    // Anybody may join a room and see; a group's members are its own affair.
    if let Some(actor) = request.actor.filter(|_| !key.is_room()) {
        expect_member(core, &key, &actor.user).await?;
    }
    let partition = Partition { table: &tables::MEMBERS, app: key.app(), key: key.channel_key() };
    let (rows, cursor) = partition.page(core, &request.cursor, request.limit, request.page).await?;
    let mut members = Vec::with_capacity(rows.len());
    for row in rows {
        let member: records::Member = decode(Some(row.value))?;
        members.push(shown(text_of(&row.clustering), Some(&member)));
    }
    Ok(MemberPage { members, cursor, count: record.member_count })
}

pub(crate) async fn channels_of_app(core: &Core, request: ChannelsOfAppRequest) -> Result<ChannelPage> {
    let app = AppUuid::from_slice(&request.app)?;
    let kind = many(request.kind)?;
    let list = match kind {
        QueueKind::Room => ROOMS,
        _ if request.public_only => PUBLIC_GROUPS,
        _ => GROUPS,
    };
    let partition =
        Partition { table: &tables::CHANNELS_BY_APP, app, key: Bytes::from_static(list.as_bytes()) };
    let (rows, cursor) = partition.page(core, &request.cursor, request.limit, request.page).await?;
    let keys = rows.iter().map(|row| (key_in(app, kind, &row.clustering), None)).collect();
    let channels = infos(core, keys).await?;
    Ok(ChannelPage { count: channels.len() as u32, channels, cursor })
}

pub(crate) async fn channels_of_user(core: &Core, request: ChannelsOfUserRequest) -> Result<ChannelPage> {
    let app = AppUuid::from_slice(&request.app)?;
    check_user(&request.user)?;
    let kind = many(request.kind)?;
    if request.limit > PAGE_MAX {
        return Err(ErrorKind::InvalidArgument.with("a page has at most 1000 entries"));
    }
    let mut mine = memberships(core, app, &request.user).await?;
    mine.retain(|(key, _)| key.is_room() == (kind == QueueKind::Room));
    let count = mine.len() as u32;
    let limit = request.limit as usize;
    let skipped = (request.page.saturating_sub(1) as usize).saturating_mul(limit);
    let is_before = |key: &ChannelRef| !request.cursor.is_empty() && key.queue().name <= request.cursor;
    let mut left = mine.into_iter().filter(|(key, _)| !is_before(key)).skip(skipped);
    let page: Vec<_> = left.by_ref().take(limit).map(|(key, member)| (key, Some(member))).collect();
    let follows = limit > 0 && left.next().is_some();
    let cursor = page.last().filter(|_| follows).map(|(key, _)| key.queue().name).unwrap_or_default();
    Ok(ChannelPage { channels: infos(core, page).await?, cursor, count })
}

/// The groups and rooms of a user with how the user stands to each, in the order of their keys.
pub(crate) async fn memberships(
    core: &Core,
    app: AppUuid,
    user: &str,
) -> Result<Vec<(ChannelRef, records::Member)>> {
    let rows = core.scan_all(scan_of(&tables::MEMBERSHIPS, app, user), MEMBERSHIP_PAGES_MAX).await?;
    rows.into_iter()
        .map(|row| Ok((ChannelRef::new(app, &row.clustering), decode(Some(row.value))?)))
        .collect()
}

pub(crate) async fn channel_keys_of_user(core: &Core, app: AppUuid, user: &str) -> Result<Vec<ChannelRef>> {
    if let Some(known) = core.sessions.channels_of(app, user) {
        return Ok(known);
    }
    Ok(memberships(core, app, user).await?.into_iter().map(|(key, _)| key).collect())
}

/// How many channels a user is in: known of those who are online.
pub(crate) async fn channel_count(core: &Core, app: AppUuid, user: &str) -> Result<usize> {
    match core.sessions.channel_count(app, user) {
        Some(count) => Ok(count),
        None => Ok(memberships(core, app, user).await?.len()),
    }
}

pub(crate) async fn record_of(core: &Core, key: &ChannelRef) -> Result<Option<records::Channel>> {
    let row = core.get_many(vec![key.row(&tables::CHANNELS)]).await?.pop().flatten();
    row.map(|row| decode(Some(row))).transpose()
}

/// `ChannelNotFound`, `NotMember`.
pub(crate) async fn expect_member(core: &Core, key: &ChannelRef, user: &str) -> Result<()> {
    if member_of(core, key, user).await?.is_some() { Ok(()) } else { Err(why_no_seat(core, key).await) }
}

/// What somebody is told who is no member: `NotMember`, or `ChannelNotFound` when there is nothing to be a member of.
pub(crate) async fn why_no_seat(core: &Core, key: &ChannelRef) -> Error {
    match record_of(core, key).await {
        Ok(Some(_)) => ErrorKind::NotMember.into(),
        Ok(None) => ErrorKind::ChannelNotFound.into(),
        Err(error) => error,
    }
}

async fn member_of(core: &Core, key: &ChannelRef, user: &str) -> Result<Option<records::Member>> {
    check_user(user)?;
    let row = core.get_many(vec![key.member_row(user)]).await?.pop().flatten();
    row.map(|row| decode(Some(row))).transpose()
}

/// What the channels are; those that were destroyed meanwhile are left out.
async fn infos(core: &Core, keys: Vec<(ChannelRef, Option<records::Member>)>) -> Result<Vec<ChannelInfo>> {
    let rows = core.get_many(keys.iter().map(|(key, _)| key.row(&tables::CHANNELS)).collect()).await?;
    let mut channels = Vec::with_capacity(rows.len());
    for ((key, member), row) in keys.into_iter().zip(rows) {
        if let Some(row) = row {
            channels.push(info(&key, &decode(Some(row))?, member.as_ref()));
        }
    }
    Ok(channels)
}

fn shown(user: String, member: Option<&records::Member>) -> Member {
    let joined_ms = member.map(|member| member.joined_ms).unwrap_or_default();
    Member { user, role: role(member).into(), joined_ms }
}

fn many(kind: i32) -> Result<QueueKind> {
    match QueueKind::try_from(kind) {
        Ok(kind @ (QueueKind::Group | QueueKind::Room)) => Ok(kind),
        _ => Err(ErrorKind::InvalidArgument.with("not a kind of group or room")),
    }
}

fn key_in(app: AppUuid, kind: QueueKind, id: &[u8]) -> ChannelRef {
    let prefix: &[u8] = if kind == QueueKind::Room { b"r:" } else { b"g:" };
    ChannelRef::new(app, &[prefix, id].concat())
}

fn text_of(clustering: &[u8]) -> String {
    String::from_utf8_lossy(clustering).into_owned()
}

/// A partition whose rows are listed page by page.
struct Partition {
    table: &'static Table,
    app: AppUuid,
    key: Bytes,
}

impl Partition {
    /// A page after a cursor or, from 1 on, of a number; and the cursor of the next one, which is empty at the end.
    async fn page(&self, core: &Core, cursor: &str, limit: u32, page: u32) -> Result<(Vec<Row>, String)> {
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(ErrorKind::InvalidArgument.with("a page has 1 to 1000 entries"));
        }
        let limit = limit as usize;
        let mut skip = (page.saturating_sub(1) as usize).saturating_mul(limit);
        if skip > PAGED_ENTRIES_MAX as usize {
            return Err(ErrorKind::InvalidArgument.with("page by cursor beyond 10000 entries"));
        }
        let mut from = if cursor.is_empty() { Bytes::new() } else { after(cursor.as_bytes()) };
        let mut rows: Vec<Row> = Vec::new();
        // One more than asked for tells whether something follows.
        while rows.len() <= limit {
            let wanted = (skip + limit + 1 - rows.len()).min(SCAN_ROWS_MAX);
            let mut found = core.scan(self.scan(from.clone(), wanted)).await?;
            let is_end = found.len() < wanted;
            from = found.last().map_or_else(Bytes::new, |row| after(&row.clustering));
            let skipped = skip.min(found.len());
            skip -= skipped;
            rows.extend(found.drain(skipped..));
            if is_end {
                break;
            }
        }
        let follows = rows.len() > limit;
        rows.truncate(limit);
        let cursor = rows.last().filter(|_| follows).map(|row| text_of(&row.clustering));
        Ok((rows, cursor.unwrap_or_default()))
    }

    fn scan(&self, from: Bytes, limit: usize) -> Scan {
        Scan {
            table: self.table,
            scope: Scope::App(self.app),
            partition: self.key.clone(),
            from,
            to: Bytes::new(),
            descending: false,
            limit,
        }
    }
}

/// The next possible key.
fn after(clustering: &[u8]) -> Bytes {
    [clustering, &[0]].concat().into()
}
