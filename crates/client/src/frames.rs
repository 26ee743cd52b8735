//! The frames that a client sends (msync.md §1–§4), for the connection and for tools that speak MSYNC themselves.

use bulkhead_model::AppKey;
use bulkhead_msync::proto::m_sync::Command;
use bulkhead_msync::proto::meta::{NameSpace, RouteType};
use bulkhead_msync::proto::provision::OsType;
use bulkhead_msync::proto::{
    CommSyncUl, Jid, MSync, MessageBody, Meta, MucBody, Provision, message_body, muc_body,
};
use bulkhead_msync::{CONFERENCE_DOMAIN, USER_DOMAIN};
use bytes::Bytes;
use prost::Message as _;

/// The system that this client says it runs on.
const SYSTEM: OsType = OsType::OsLinux;

/// Logs `user` in with a token; `device` names this device for good and must differ between the devices of a user.
pub fn login(app: &AppKey, user: &str, token: &str, device: &str) -> Bytes {
    let provision = Provision {
        os_type: Some(SYSTEM.into()),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        device_uuid: Some(device.to_owned()),
        device_name: Some("bulkhead-client".to_owned()),
        resource: Some(device.to_owned()),
        action_version: Some("v5.1".to_owned()),
        ..Provision::default()
    };
    let guid = Jid {
        app_key: Some(app.to_string()),
        name: Some(user.to_owned()),
        domain: Some(USER_DOMAIN.to_owned()),
        client_resource: Some(device.to_owned()),
    };
    let frame = MSync {
        version: Some(0),
        guid: Some(guid),
        auth: Some(format!("$t${token}")),
        command: Some(Command::Provision.into()),
        payload: Some(provision.encode_to_vec().into()),
    };
    frame.encode_to_vec().into()
}

/// Asks which queues have messages; also the keep-alive.
pub fn unread() -> Bytes {
    MSync { command: Some(Command::Unread.into()), ..MSync::default() }.encode_to_vec().into()
}

/// Asks for the next page of a queue; `key` is that of the page before, which it proves to have arrived.
pub fn pull(queue: &Jid, key: Option<u64>) -> Bytes {
    sync(&CommSyncUl { meta: None, key, queue: Some(queue.clone()) })
}

/// Sends a body to a user, or to the group or room that its type says it is for.
pub fn send(client_id: u64, app: &AppKey, to: &str, body: &MessageBody) -> Bytes {
    let is_for_many = matches!(body.r#type(), message_body::Type::Groupchat | message_body::Type::Chatroom);
    let domain = if is_for_many { CONFERENCE_DOMAIN } else { USER_DOMAIN };
    let to = Jid {
        app_key: Some(app.to_string()),
        name: Some(to.to_owned()),
        domain: Some(domain.to_owned()),
        client_resource: None,
    };
    let meta = Meta {
        id: Some(client_id),
        to: Some(to),
        ns: Some(NameSpace::Chat.into()),
        payload: Some(body.encode_to_vec().into()),
        routetype: Some(RouteType::RouteAll.into()),
        ..Meta::default()
    };
    sync(&CommSyncUl { meta: Some(meta), key: None, queue: None })
}

/// Joins a room.
pub fn join_room(client_id: u64, app: &AppKey, user: &str, room: &str) -> Bytes {
    let named = |name: &str, domain: &str| Jid {
        app_key: Some(app.to_string()),
        name: Some(name.to_owned()),
        domain: Some(domain.to_owned()),
        client_resource: None,
    };
    let body = MucBody {
        muc_id: Some(named(room, CONFERENCE_DOMAIN)),
        operation: Some(muc_body::Operation::Join.into()),
        from: Some(named(user, USER_DOMAIN)),
        is_chatroom: Some(true),
        ..MucBody::default()
    };
    let meta = Meta {
        id: Some(client_id),
        to: Some(named("", CONFERENCE_DOMAIN)),
        ns: Some(NameSpace::Muc.into()),
        payload: Some(body.encode_to_vec().into()),
        ..Meta::default()
    };
    sync(&CommSyncUl { meta: Some(meta), key: None, queue: None })
}

/// How `messageroaming` names the conversation with `name`.
pub(crate) fn queue_name(name: &str, is_group: bool) -> String {
    format!("{name}@{}", if is_group { CONFERENCE_DOMAIN } else { USER_DOMAIN })
}

fn sync(payload: &CommSyncUl) -> Bytes {
    let frame = MSync {
        command: Some(Command::Sync.into()),
        payload: Some(payload.encode_to_vec().into()),
        ..MSync::default()
    };
    frame.encode_to_vec().into()
}
