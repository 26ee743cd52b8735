//! What a REST send asks for: the fields of both forms of it, checked (features.md §3.4, §5.2).

use std::borrow::Cow;

use bulkhead_model::limits::{MESSAGE_BYTES_MAX, SEND_TARGETS_MAX};
use bulkhead_model::{ErrorKind, USERNAME_BYTES_MAX, fold_username, username_is_legal};
use bulkhead_msync::proto::{Jid, MessageBody, message_body};
use bulkhead_proto::records::{ContentKind, MessageKind};
use bulkhead_proto::router::QueueKind;
use bytes::Bytes;
use http::StatusCode;
use prost::Message;
use serde_json::{Map, Value};

use super::body::invalid_body;
use super::error::RestError;
use super::message_content::content;
use super::message_ext::key_values;

/// Numbers of features.md §5.2.
const FROM_EMPTY: u32 = 14001;
const TO_EMPTY: u32 = 14002;
pub(super) const BODY_EMPTY: u32 = 14005;

/// Most users of one message whose history may leave it out (features.md §3.4).
const ROAM_IGNORE_USERS_MAX: usize = 20;

/// Who a message is from when the request does not say (features.md §3.4).
const DEFAULT_SENDER: &str = "admin";

/// Most groups and rooms of one message, and most members of one that it may be for alone (features.md §3.4).
const GROUPS_MAX: usize = 3;
const ROOMS_MAX: usize = 10;
const ONLY_USERS_MAX: usize = 20;

/// What the targets of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    Users,
    Groups,
    Rooms,
}

impl Audience {
    /// What the older form calls it in `target_type`.
    pub(super) fn of_target_type(target_type: Option<&str>) -> Option<Self> {
        match target_type? {
            "users" => Some(Self::Users),
            "chatgroups" => Some(Self::Groups),
            "chatrooms" => Some(Self::Rooms),
            _ => None,
        }
    }

    pub(super) fn queue_kind(self) -> QueueKind {
        match self {
            Self::Users => QueueKind::Direct,
            Self::Groups => QueueKind::Group,
            Self::Rooms => QueueKind::Room,
        }
    }

    pub(super) fn message_kind(self) -> MessageKind {
        match self {
            Self::Users => MessageKind::Chat,
            Self::Groups => MessageKind::Groupchat,
            Self::Rooms => MessageKind::Chatroom,
        }
    }

    fn body_type(self) -> message_body::Type {
        match self {
            Self::Users => message_body::Type::Chat,
            Self::Groups => message_body::Type::Groupchat,
            Self::Rooms => message_body::Type::Chatroom,
        }
    }

    fn targets_max(self) -> usize {
        match self {
            Self::Users => SEND_TARGETS_MAX,
            Self::Groups => GROUPS_MAX,
            Self::Rooms => ROOMS_MAX,
        }
    }
}

/// A checked request to send one message to several users, groups or rooms.
#[derive(Debug)]
pub(super) struct SendRequest {
    pub(super) audience: Audience,
    pub(super) from: String,
    /// In the order given, each once.
    pub(super) to: Vec<String>,
    pub(super) content: ContentKind,
    pub(super) online_only: bool,
    pub(super) sync_devices: bool,
    pub(super) history_hidden_for: Vec<String>,
    /// Of a group or room: only these members get it; empty for all.
    pub(super) only_users: Vec<String>,
    /// The encoded MessageBody without its receiver.
    payload: Vec<u8>,
}

impl SendRequest {
    /// Reads POST `/messages/users` and its kin: `type` and `body` side by side, targets in `to`.
    pub(super) fn read(audience: Audience, request: &Value) -> Result<Self, RestError> {
        let fields = request.as_object().ok_or_else(invalid_body)?;
        let body = fields.get("body").and_then(Value::as_object).filter(|body| !body.is_empty());
        Self::build(audience, fields, targets(audience, fields.get("to"))?, fields.get("type"), body)
    }

    /// Reads the same for some members of one group or room, who are named in `users`.
    pub(super) fn read_for_some(audience: Audience, request: &Value) -> Result<Self, RestError> {
        let mut read = Self::read(audience, request)?;
        if read.to.len() > 1 {
            return Err(refused("params to's size can't exceed limit 1"));
        }
        let empty = || refused("param users can't be empty");
        let users = request.get("users").and_then(Value::as_array).filter(|users| !users.is_empty());
        let users = users.ok_or_else(empty)?;
        if users.len() > ONLY_USERS_MAX {
            return Err(refused(format!("params users's size can't exceed limit {ONLY_USERS_MAX}")));
        }
        read.only_users = user_names(users, empty)?;
        Ok(read)
    }

    /// Reads the older POST `/messages`: type and body fields together in `msg`, targets in `target`.
    pub(super) fn read_legacy(request: &Value) -> Result<Self, RestError> {
        let fields = request.as_object().ok_or_else(invalid_body)?;
        let audience = Audience::of_target_type(fields.get("target_type").and_then(Value::as_str));
        let audience = audience
            .ok_or_else(|| RestError::illegal("Target_type can only be users/chatgroups/chatrooms"))?;
        let body = fields.get("msg").and_then(Value::as_object).filter(|body| !body.is_empty());
        let kind = body.and_then(|body| body.get("type"));
        Self::build(audience, fields, targets(audience, fields.get("target"))?, kind, body)
    }

    fn build(
        audience: Audience,
        fields: &Map<String, Value>,
        to: Vec<String>,
        kind: Option<&Value>,
        body: Option<&Map<String, Value>>,
    ) -> Result<Self, RestError> {
        let from = sender(fields.get("from"))?;
        let kind = kind
            .and_then(Value::as_str)
            .filter(|kind| !kind.is_empty())
            .ok_or_else(|| refused("param type can't be empty"))?;
        let body = body.ok_or_else(|| refused("param body can't be empty").with_code(BODY_EMPTY))?;
        let (kind, content) = content(kind, body)?;
        let ext = match fields.get("ext") {
            None => None,
            Some(Value::Object(ext)) => Some(ext),
            Some(_) => return Err(refused("param ext must be JSONObject")),
        };
        if json_bytes(body) + ext.map_or(0, json_bytes) > MESSAGE_BYTES_MAX {
            return Err(ErrorKind::TooLarge.into());
        }
        let payload = MessageBody {
            r#type: Some(audience.body_type().into()),
            from: Some(name_only(&from)),
            contents: vec![content],
            ext: ext.map(key_values).unwrap_or_default(),
            ..MessageBody::default()
        }
        .encode_to_vec();
        Ok(Self {
            audience,
            from,
            to,
            content: kind,
            online_only: online_only(fields.get("routetype"))?,
            sync_devices: flag(fields.get("sync_device"), "sync_device")?,
            history_hidden_for: ignored(fields.get("roam_ignore_users"))?,
            only_users: Vec::new(),
            payload,
        })
    }

    /// The encoded MessageBody for one receiver. Protobuf messages concatenate, so all receivers share what was encoded
    /// once.
    pub(super) fn payload_for(&self, receiver: &str) -> Bytes {
        let receiver = MessageBody { to: Some(name_only(receiver)), ..MessageBody::default() };
        let mut payload = Vec::with_capacity(self.payload.len() + receiver.encoded_len());
        payload.extend_from_slice(&self.payload);
        receiver.encode_raw(&mut payload);
        payload.into()
    }
}

/// 400 `message_send_error`.
pub(super) fn refused(description: impl Into<Cow<'static, str>>) -> RestError {
    RestError::new(StatusCode::BAD_REQUEST, "message_send_error", "MessageSendException", description)
}

fn name_only(user: &str) -> Jid {
    Jid { name: Some(user.to_owned()), ..Jid::default() }
}

fn sender(from: Option<&Value>) -> Result<String, RestError> {
    let name = match from {
        None | Some(Value::Null) => DEFAULT_SENDER.to_owned(),
        Some(Value::String(name)) if name.is_empty() => {
            return Err(refused("param from can't be empty").with_code(FROM_EMPTY));
        }
        Some(Value::String(name)) => fold_username(name),
        Some(_) => return Err(refused("param from must be a string").with_code(FROM_EMPTY)),
    };
    if username_is_legal(&name) { Ok(name) } else { Err(illegal_name(&name)) }
}

fn targets(audience: Audience, to: Option<&Value>) -> Result<Vec<String>, RestError> {
    let empty = || refused("param to can't be empty").with_code(TO_EMPTY);
    let list = to.and_then(Value::as_array).filter(|list| !list.is_empty()).ok_or_else(empty)?;
    let max = audience.targets_max();
    if list.len() > max {
        return Err(refused(format!("params to's size can't exceed limit {max}")));
    }
    user_names(list, empty)
}

fn ignored(users: Option<&Value>) -> Result<Vec<String>, RestError> {
    let wrong = || refused("param roam_ignore_users must be an array of usernames");
    match users {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() > ROAM_IGNORE_USERS_MAX => Err(refused(format!(
            "params roam_ignore_users's size can't exceed limit {ROAM_IGNORE_USERS_MAX}"
        ))),
        Some(Value::Array(list)) => user_names(list, wrong),
        Some(_) => Err(wrong()),
    }
}

/// Folds the names and leaves each in once.
fn user_names(list: &[Value], wrong: impl Fn() -> RestError) -> Result<Vec<String>, RestError> {
    let mut seen = std::collections::HashSet::with_capacity(list.len());
    let mut names = Vec::with_capacity(list.len());
    for entry in list {
        let name = entry.as_str().filter(|name| !name.is_empty()).ok_or_else(&wrong)?;
        let name = fold_username(name);
        if !username_is_legal(&name) {
            return Err(illegal_name(&name));
        }
        if seen.insert(name.clone()) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Quotes the name only as far as a username can go: a client's megabyte is not worth sending back.
fn illegal_name(name: &str) -> RestError {
    if name.len() > USERNAME_BYTES_MAX {
        RestError::illegal("username longer than 64 bytes is not legal")
    } else {
        RestError::illegal(format!("username [{name}] is not legal"))
    }
}

/// `ROUTE_ONLINE`; one page of the documentation misprints it as `ROUTE_TYPE` (features.md §13).
fn online_only(route: Option<&Value>) -> Result<bool, RestError> {
    match route {
        None | Some(Value::Null) => Ok(false),
        Some(Value::String(route)) => match route.as_str() {
            "ROUTE_ONLINE" | "ROUTE_TYPE" => Ok(true),
            "" | "ROUTE_ALL" => Ok(false),
            _ => Err(refused("param routetype can only be ROUTE_ONLINE")),
        },
        Some(_) => Err(refused("param routetype can only be ROUTE_ONLINE")),
    }
}

fn flag(value: Option<&Value>, name: &'static str) -> Result<bool, RestError> {
    match value {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(refused(format!("param {name} must be a boolean"))),
    }
}

/// How long an object is as compact JSON, in bytes.
fn json_bytes(object: &Map<String, Value>) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, object).expect("counting bytes cannot fail");
    count.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(change: impl FnOnce(&mut Value)) -> Result<SendRequest, RestError> {
        let mut request = json!({"from": "alice", "to": ["bob"], "type": "txt", "body": {"msg": "hi"}});
        change(&mut request);
        SendRequest::read(Audience::Users, &request)
    }

    fn refusal(change: impl FnOnce(&mut Value)) -> (u16, Option<u32>, String) {
        let error = with(change).unwrap_err();
        (error.status.as_u16(), error.code, error.description.into_owned())
    }

    #[test]
    fn the_payload_is_a_whole_message_body_for_each_receiver() {
        let request = with(|request| request["ext"] = json!({"k": 1})).unwrap();
        let body = MessageBody::decode(request.payload_for("bob")).unwrap();
        assert_eq!(body.r#type(), message_body::Type::Chat);
        assert_eq!(body.from.unwrap().name.as_deref(), Some("alice"));
        assert_eq!(body.to.unwrap().name.as_deref(), Some("bob"));
        assert_eq!(body.contents[0].text.as_deref(), Some("hi"));
        assert_eq!(body.ext.len(), 1);
    }

    #[test]
    fn the_legacy_form_says_the_same() {
        let new = with(|_| ()).unwrap();
        let old = SendRequest::read_legacy(&json!({
            "target_type": "users", "target": ["bob"], "from": "alice", "msg": {"type": "txt", "msg": "hi"}
        }))
        .unwrap();
        assert_eq!(old.payload_for("bob"), new.payload_for("bob"));
        assert_eq!(old.to, new.to);
    }

    #[test]
    fn every_refusal_has_its_number_and_text() {
        let text = |text: &str| text.to_owned();
        assert_eq!(refusal(|r| r["from"] = json!("")), (400, Some(14001), text("param from can't be empty")));
        assert_eq!(refusal(|r| r["to"] = json!([])), (400, Some(14002), text("param to can't be empty")));
        assert_eq!(refusal(|r| r["to"] = json!(null)).1, Some(14002));
        assert_eq!(refusal(|r| r["type"] = json!("")), (400, None, text("param type can't be empty")));
        assert_eq!(refusal(|r| r["body"] = json!({})), (400, Some(14005), text("param body can't be empty")));
        assert_eq!(refusal(|r| r["body"] = json!("hi")).1, Some(14005));
        assert_eq!(refusal(|r| r["ext"] = json!(null)), (400, None, text("param ext must be JSONObject")));
        assert_eq!(refusal(|r| r["ext"] = json!("x")).2, "param ext must be JSONObject");
        assert_eq!(refusal(|r| r["to"] = json!(["a b"])).2, "username [a b] is not legal");
        assert!(refusal(|r| r["to"] = json!(["a".repeat(65)])).2.len() < 65);
        assert_eq!(refusal(|r| r["routetype"] = json!("ROUTE_MOON")).0, 400);
        assert_eq!(refusal(|r| r["sync_device"] = json!("yes")).0, 400);
        assert_eq!(refusal(|r| *r = json!([])).0, 400);
    }

    #[test]
    fn targets_are_at_most_600_and_each_counts_once() {
        let users = |count: usize| (0..count).map(|n| format!("u{n}")).collect::<Vec<_>>();
        assert_eq!(with(|r| r["to"] = json!(users(600))).unwrap().to.len(), 600);
        assert_eq!(refusal(|r| r["to"] = json!(users(601))).2, "params to's size can't exceed limit 600");
        assert_eq!(with(|r| r["to"] = json!(["bob", "carol", "Bob"])).unwrap().to, ["bob", "carol"]);
        assert!(with(|r| r["roam_ignore_users"] = json!(users(20))).is_ok());
        assert!(with(|r| r["roam_ignore_users"] = json!(users(21))).is_err());
    }

    #[test]
    fn a_message_may_go_to_3_groups_or_10_rooms_or_to_20_members_of_one() {
        let request = |to: usize, users: usize| {
            let names = |count: usize| (0..count).map(|n| format!("n{n}")).collect::<Vec<_>>();
            json!({"to": names(to), "users": names(users), "type": "txt", "body": {"msg": "hi"}})
        };
        for (audience, max, kind) in [
            (Audience::Groups, 3, message_body::Type::Groupchat),
            (Audience::Rooms, 10, message_body::Type::Chatroom),
        ] {
            let read = SendRequest::read(audience, &request(max, 0)).unwrap();
            assert_eq!(MessageBody::decode(read.payload_for("n0")).unwrap().r#type(), kind);
            assert!(SendRequest::read(audience, &request(max + 1, 0)).is_err());
            assert_eq!(SendRequest::read_for_some(audience, &request(1, 20)).unwrap().only_users.len(), 20);
            for (to, users) in [(1, 0), (1, 21), (2, 1)] {
                assert!(SendRequest::read_for_some(audience, &request(to, users)).is_err());
            }
        }
    }

    #[test]
    fn body_and_ext_together_may_be_5_kb_and_not_a_byte_more() {
        let body_overhead = json!({"msg": ""}).to_string().len();
        let ext = json!({"k": "v"});
        let fits = MESSAGE_BYTES_MAX - body_overhead - ext.to_string().len();
        let sized = |length: usize| {
            with(|r| {
                r["body"]["msg"] = json!("x".repeat(length));
                r["ext"] = ext.clone();
            })
        };
        assert!(sized(fits).is_ok());
        let error = sized(fits + 1).unwrap_err();
        assert_eq!((error.code, &*error.description), (Some(14007), "message is too large"));
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let request = with(|r| {
            r.as_object_mut().unwrap().remove("from");
        })
        .unwrap();
        assert_eq!(request.from, "admin");
        assert!(!request.online_only && !request.sync_devices);
        assert!(with(|r| r["routetype"] = json!("ROUTE_ONLINE")).unwrap().online_only);
        assert!(with(|r| r["sync_device"] = json!(true)).unwrap().sync_devices);
    }
}
