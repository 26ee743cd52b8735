//! What a client sends (msync.md §1–§4).

use bytes::{Bytes, BytesMut};

use super::body::check_extension;
use super::login::{self, LoginRequest};
use crate::proto::meta::{NameSpace, RouteType};
use crate::queue::{CONFERENCE_DOMAIN, Queue, QueueKind};
use crate::wire::{Fields, Malformed};

/// One frame of a client.
pub enum UpFrame {
    Login(Box<LoginRequest>),
    /// Which queues have messages; also the keep-alive.
    Unread,
    Pull(UpPull),
    Send(UpMessage),
    /// A client's statistics: nothing to do, nothing to answer.
    Statistics,
    Logout,
}

/// A pull of a queue.
pub struct UpPull {
    /// Of the two domains only one tells the kind; for the other it is a guess until the session looks.
    pub queue: Queue,
    /// Everything up to this id is taken; 0 goes on from the device's cursor.
    pub key: u64,
}

/// A `Meta` on its way to somebody.
pub struct UpMessage {
    /// Made by the client, the same for a resend; not 0.
    pub client_id: u64,
    pub namespace: NameSpace,
    /// The receiver's name as the client wrote it; empty when it named none.
    pub to: String,
    pub to_conference: bool,
    /// Only this device of the receiver; empty for all.
    pub to_device: String,
    pub route: RouteType,
    /// The encoded body.
    pub payload: Bytes,
    /// The encoded `Meta.ext` entries, each with its tag.
    pub extensions: Bytes,
    /// Of a group or room, with the route for it: the members that it is for.
    pub only_users: Vec<String>,
}

/// Longest list of members that one message is for, which is more than any is let through with.
const ONLY_USERS_MAX: usize = 100;

/// Reads one frame. Bodies stay slices of it.
pub fn decode(frame: &Bytes) -> Result<UpFrame, Malformed> {
    let (mut command, mut payload): (u64, &[u8]) = (0, &[]);
    let (mut guid, mut auth) = (None, "");
    let mut fields = Fields::of(frame);
    while let Some(field) = fields.next()? {
        match field.number {
            2 => guid = Some(field.value.bytes()?),
            3 => auth = field.value.text()?,
            8 => command = field.value.varint()?,
            9 => payload = field.value.bytes()?,
            _ => {}
        }
    }
    match command {
        0 => sync(frame, payload),
        1 => Ok(UpFrame::Unread),
        3 => Ok(UpFrame::Login(Box::new(login::read(guid.ok_or(Malformed)?, auth, payload)?))),
        4 => Ok(UpFrame::Logout),
        _ => Err(Malformed),
    }
}

fn sync(frame: &Bytes, payload: &[u8]) -> Result<UpFrame, Malformed> {
    let (mut meta, mut key, mut queue) = (None, 0, None);
    let mut fields = Fields::of(payload);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => meta = Some(field.value.bytes()?),
            2 => key = field.value.varint()?,
            3 => queue = Some(Jid::read(field.value.bytes()?)?),
            _ => {}
        }
    }
    match (meta, queue) {
        (Some(meta), _) => message(frame, meta),
        (None, Some(queue)) if !queue.name.is_empty() => {
            let kind = if queue.is_conference() { QueueKind::Group } else { QueueKind::Direct };
            Ok(UpFrame::Pull(UpPull { queue: Queue::new(kind, queue.name), key }))
        }
        (None, _) => Err(Malformed),
    }
}

fn message(frame: &Bytes, meta: &[u8]) -> Result<UpFrame, Malformed> {
    let (mut client_id, mut namespace, mut route) = (0, 0, 0);
    let (mut to, mut payload): (Jid<'_>, &[u8]) = (Jid::default(), &[]);
    let mut extensions = Extensions::default();
    let mut only_users = Vec::new();
    let mut fields = Fields::of(meta);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => client_id = field.value.varint()?,
            3 => to = Jid::read(field.value.bytes()?)?,
            5 => namespace = field.value.varint()?,
            6 => payload = field.value.bytes()?,
            7 => route = field.value.varint()?,
            8 => {
                check_extension(field.value.bytes()?)?;
                extensions.add(field.whole);
            }
            10 if only_users.len() < ONLY_USERS_MAX => only_users.push(field.value.text()?.to_owned()),
            10 => return Err(Malformed),
            _ => {}
        }
    }
    let namespace = i32::try_from(namespace).ok().and_then(|n| n.try_into().ok()).ok_or(Malformed)?;
    if namespace == NameSpace::Statistic {
        return Ok(UpFrame::Statistics);
    }
    // Without an id the answer would reach no one: clients match it by that id.
    if client_id == 0 {
        return Err(Malformed);
    }
    Ok(UpFrame::Send(UpMessage {
        client_id,
        namespace,
        to: to.name.to_owned(),
        to_conference: to.is_conference(),
        to_device: to.device.to_owned(),
        route: i32::try_from(route).ok().and_then(|r| r.try_into().ok()).ok_or(Malformed)?,
        payload: slice_of(frame, payload),
        extensions: extensions.into_bytes(frame),
        only_users,
    }))
}

/// `Bytes::slice_ref` of what may be the empty slice of nowhere.
fn slice_of(frame: &Bytes, part: &[u8]) -> Bytes {
    if part.is_empty() { Bytes::new() } else { frame.slice_ref(part) }
}

#[derive(Default)]
pub(super) struct Jid<'a> {
    pub(super) app_key: &'a str,
    pub(super) name: &'a str,
    domain: &'a str,
    pub(super) device: &'a str,
}

impl<'a> Jid<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut jid = Jid::default();
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => jid.app_key = field.value.text()?,
                2 => jid.name = field.value.text()?,
                3 => jid.domain = field.value.text()?,
                4 => jid.device = field.value.text()?,
                _ => {}
            }
        }
        Ok(jid)
    }

    fn is_conference(&self) -> bool {
        self.domain == CONFERENCE_DOMAIN
    }
}

/// Encoded fields, which clients write one behind the other, so that one slice holds them all.
#[derive(Default)]
struct Extensions<'a> {
    entries: Vec<&'a [u8]>,
}

impl<'a> Extensions<'a> {
    fn add(&mut self, entry: &'a [u8]) {
        self.entries.push(entry);
    }

    fn into_bytes(self, frame: &Bytes) -> Bytes {
        match self.entries.as_slice() {
            [] => Bytes::new(),
            [only] => frame.slice_ref(only),
            entries => {
                let mut joined = BytesMut::with_capacity(entries.iter().map(|entry| entry.len()).sum());
                entries.iter().for_each(|entry| joined.extend_from_slice(entry));
                joined.freeze()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::proto::key_value::Value as Typed;
    use crate::proto::{self, CommSyncUl, KeyValue, MSync, Meta, m_sync};

    fn frame(command: m_sync::Command, payload: Vec<u8>) -> Bytes {
        let frame =
            MSync { command: Some(command.into()), payload: Some(payload.into()), ..MSync::default() };
        frame.encode_to_vec().into()
    }

    fn sent(meta: Meta) -> Result<UpFrame, Malformed> {
        let sync = CommSyncUl { meta: Some(meta), ..CommSyncUl::default() };
        decode(&frame(m_sync::Command::Sync, sync.encode_to_vec()))
    }

    fn chat() -> Meta {
        Meta {
            id: Some(77),
            ns: Some(NameSpace::Chat.into()),
            to: Some(proto::Jid {
                name: Some("bob".into()),
                domain: Some("easemob.com".into()),
                client_resource: Some("web_1".into()),
                app_key: None,
            }),
            payload: Some(Bytes::from_static(b"the body")),
            ..Meta::default()
        }
    }

    #[test]
    fn a_message_is_read_in_place() {
        let entry =
            |key: &str| KeyValue { key: Some(key.into()), r#type: None, value: Some(Typed::VarintValue(1)) };
        let meta = Meta { ext: vec![entry("a"), entry("b")], routetype: Some(1), ..chat() };
        let Ok(UpFrame::Send(message)) = sent(meta.clone()) else { panic!("not a message") };
        assert_eq!((message.client_id, message.namespace), (77, NameSpace::Chat));
        assert_eq!((message.to.as_str(), message.to_device.as_str()), ("bob", "web_1"));
        assert_eq!(message.route, RouteType::RouteOnline);
        assert_eq!(message.payload, "the body");
        let relayed = Meta::decode(message.extensions).unwrap();
        assert_eq!(relayed, Meta { ext: meta.ext, ..Meta::default() });
    }

    #[test]
    fn a_pull_names_its_queue_and_its_key() {
        let jid = |name: &str, domain: &str| proto::Jid {
            name: Some(name.into()),
            domain: Some(domain.into()),
            ..proto::Jid::default()
        };
        for (domain, kind) in [("easemob.com", QueueKind::Direct), (CONFERENCE_DOMAIN, QueueKind::Group)] {
            let sync = CommSyncUl { key: Some(9), queue: Some(jid("bob", domain)), ..CommSyncUl::default() };
            let decoded = decode(&frame(m_sync::Command::Sync, sync.encode_to_vec()));
            let Ok(UpFrame::Pull(pull)) = decoded else { panic!("not a pull") };
            assert_eq!((pull.queue, pull.key), (Queue::new(kind, "bob"), 9));
        }
    }

    #[test]
    fn statistics_unread_and_logout_are_told_apart() {
        let statistics = Meta { ns: Some(NameSpace::Statistic.into()), ..chat() };
        assert!(matches!(sent(statistics), Ok(UpFrame::Statistics)));
        assert!(matches!(decode(&frame(m_sync::Command::Unread, vec![])), Ok(UpFrame::Unread)));
        assert!(matches!(decode(&frame(m_sync::Command::Logout, vec![])), Ok(UpFrame::Logout)));
    }

    #[test]
    fn frames_that_mean_nothing_are_malformed() {
        assert!(decode(&frame(m_sync::Command::Notice, vec![])).is_err());
        assert!(decode(&frame(m_sync::Command::Sync, vec![])).is_err());
        assert!(decode(&frame(m_sync::Command::Provision, vec![])).is_err());
        assert!(decode(&Bytes::new()).is_err());
        assert!(sent(Meta { id: None, ..chat() }).is_err());
        assert!(sent(Meta { ns: Some(99), ..chat() }).is_err());
        assert!(sent(Meta { routetype: Some(99), ..chat() }).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode(&bytes.into());
        }

        #[test]
        fn no_broken_message_makes_it_panic(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let sync = CommSyncUl { meta: Some(chat()), ..CommSyncUl::default() };
            let mut bytes = frame(m_sync::Command::Sync, sync.encode_to_vec()).to_vec();
            for (index, byte) in flips {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
            let _ = decode(&bytes.into());
        }
    }
}
