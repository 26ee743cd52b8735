//! Many users who are connected, and the room or group that they are in.

use bulkhead_client::frames;
use bulkhead_model::limits::ACCESS_TOKEN_LIFE_S_MAX;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::Setting;
use super::direct::log_in;
use super::socket::{Socket, lost};
use super::users::BenchUser;
use super::wire;
use crate::Failure;

/// Logins at one time.
const AT_ONCE: usize = 32;

/// Members that one call adds to a group (features.md §3.7).
const ADDED_PER_CALL: usize = 60;

/// Members of the largest room or group.
pub(super) const MEMBERS_MAX: i64 = 9_999;

/// The client id of a join; a user sends one.
const JOIN_ID: u64 = 1;

/// A connection for each user, in their order; `first` are open beside them, by other users.
pub(super) async fn connect(
    setting: &Setting,
    users: &[BenchUser],
    first: usize,
) -> Result<Vec<Socket>, Failure> {
    stream::iter(users.iter().enumerate())
        .map(|(index, user)| log_in(setting, first + index, user))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// A room with nobody in it but its owner.
pub(super) async fn make_room(
    setting: &Setting,
    owner: &BenchUser,
    members: usize,
) -> Result<String, Failure> {
    let server = &setting.server;
    let app_token = server.tokens.app_token(ACCESS_TOKEN_LIFE_S_MAX)?;
    // The owner is a member too.
    Ok(server.rest.create_room(&app_token, &owner.name, members as u32 + 1).await?)
}

/// A group of these members and its owner.
pub(super) async fn make_group(
    setting: &Setting,
    owner: &BenchUser,
    members: &[BenchUser],
) -> Result<String, Failure> {
    let server = &setting.server;
    let app_token = server.tokens.app_token(ACCESS_TOKEN_LIFE_S_MAX)?;
    let group = server.rest.create_group(&app_token, &owner.name, members.len() as u32 + 1).await?;
    let add = async |some: &[BenchUser]| {
        let names: Vec<&str> = some.iter().map(|member| member.name.as_str()).collect();
        server.rest.add_to_group(&app_token, &group, &names).await
    };
    for some in members.chunks(ADDED_PER_CALL) {
        add(some).await?;
    }
    Ok(group)
}

/// Sends the request to join of everyone at once and waits until all are in.
pub(super) async fn join(
    setting: &Setting,
    room: &str,
    users: &[BenchUser],
    sockets: &mut [Socket],
) -> Result<(), Failure> {
    for (user, socket) in users.iter().zip(&mut *sockets) {
        socket.queue(&frames::join_room(JOIN_ID, &setting.server.app, &user.name, room));
        socket.flush().await.map_err(lost)?;
    }
    for socket in sockets {
        joined(socket).await?;
    }
    Ok(())
}

async fn joined(socket: &mut Socket) -> Result<(), Failure> {
    loop {
        while let Some(frame) = socket.next_frame().map_err(lost)? {
            let down =
                wire::read(frame, |_| {}).ok_or_else(|| Failure::refused("a frame is not understood"))?;
            match down.ack {
                Some((JOIN_ID, 0)) => return Ok(()),
                Some(_) => return Err(Failure::refused("a room could not be joined")),
                None => {}
            }
        }
        socket.fill().await.map_err(lost)?;
    }
}
