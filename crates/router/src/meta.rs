//! The bytes of an MSYNC `Meta`, field by field (msync.proto): the router has no need of the protocol beyond it.

use bulkhead_model::ChannelKind;
use bytes::{BufMut, Bytes, BytesMut};

use crate::body::{self, Malformed};

const USER_DOMAIN: &str = "easemob.com";
const CHANNEL_DOMAIN: &str = "conference.easemob.com";

const PAYLOAD: u32 = 6;

/// Who is named in `Meta.from` and `Meta.to`.
pub(crate) struct Address<'a> {
    pub(crate) kind: ChannelKind,
    pub(crate) name: &'a str,
    /// Empty for none.
    pub(crate) device: &'a str,
}

/// `Meta.ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespace {
    Chat = 1,
    /// An event of a group or room.
    Muc = 2,
}

/// What a delivered `Meta` consists of.
pub(crate) struct MetaParts<'a> {
    pub(crate) namespace: Namespace,
    pub(crate) app_key: &'a str,
    pub(crate) id: u64,
    pub(crate) from: Address<'a>,
    pub(crate) to: Address<'a>,
    pub(crate) timestamp_ms: u64,
    /// Encoded MessageBody or MUCBody.
    pub(crate) payload: &'a [u8],
    /// Encoded `ext` entries, each with its tag.
    pub(crate) ext: &'a [u8],
}

/// Encodes a `Meta` without its `meta` field.
pub(crate) fn encode(parts: &MetaParts<'_>) -> Bytes {
    let names = parts.from.name.len() + parts.from.device.len() + parts.to.name.len() + parts.to.device.len();
    let mut meta = BytesMut::with_capacity(
        parts.payload.len() + parts.ext.len() + 2 * (parts.app_key.len() + CHANNEL_DOMAIN.len()) + names + 64,
    );
    put_number(&mut meta, 1, parts.id);
    put_address(&mut meta, 2, parts.app_key, &parts.from);
    put_address(&mut meta, 3, parts.app_key, &parts.to);
    put_number(&mut meta, 4, parts.timestamp_ms);
    put_number(&mut meta, 5, parts.namespace as u64);
    body::put_bytes(&mut meta, PAYLOAD, parts.payload);
    meta.put_slice(parts.ext);
    meta.freeze()
}

/// The payload of an encoded `Meta`.
pub(crate) fn payload_of(meta: &[u8]) -> Result<&[u8], Malformed> {
    let mut payload: &[u8] = &[];
    for field in body::fields(meta) {
        let field = field?;
        if field.number == PAYLOAD {
            payload = field.bytes()?;
        }
    }
    Ok(payload)
}

/// An encoded `Meta` with another payload; every other field stays as it is.
pub(crate) fn with_payload(meta: &[u8], payload: &[u8]) -> Result<Bytes, Malformed> {
    let mut changed = BytesMut::with_capacity(meta.len() + payload.len());
    for field in body::fields(meta) {
        let field = field?;
        if field.number != PAYLOAD {
            changed.put_slice(field.raw);
        }
    }
    body::put_bytes(&mut changed, PAYLOAD, payload);
    Ok(changed.freeze())
}

/// Appends a varint field.
pub(crate) fn put_number(out: &mut BytesMut, number: u32, value: u64) {
    body::put_varint(out, u64::from(number) << 3);
    body::put_varint(out, value);
}

/// Appends a JID.
pub(crate) fn put_address(out: &mut BytesMut, number: u32, app_key: &str, address: &Address<'_>) {
    let domain = match address.kind {
        ChannelKind::Direct => USER_DOMAIN,
        ChannelKind::Group | ChannelKind::Room | ChannelKind::Thread => CHANNEL_DOMAIN,
    };
    let parts = [(1, app_key), (2, address.name), (3, domain), (4, address.device)];
    let present = || parts.iter().filter(|(_, text)| !text.is_empty());
    let bytes = present().map(|(_, text)| body::bytes_field_len(text.len())).sum::<usize>();
    body::put_varint(out, u64::from(number) << 3 | 2);
    body::put_varint(out, bytes as u64);
    for (number, text) in present() {
        body::put_bytes(out, *number, text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct Jid {
        #[prost(string, optional, tag = "1")]
        app_key: Option<String>,
        #[prost(string, optional, tag = "2")]
        name: Option<String>,
        #[prost(string, optional, tag = "3")]
        domain: Option<String>,
        #[prost(string, optional, tag = "4")]
        device: Option<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Meta {
        #[prost(uint64, optional, tag = "1")]
        id: Option<u64>,
        #[prost(message, optional, tag = "2")]
        from: Option<Jid>,
        #[prost(message, optional, tag = "3")]
        to: Option<Jid>,
        #[prost(uint64, optional, tag = "4")]
        timestamp: Option<u64>,
        #[prost(int32, optional, tag = "5")]
        ns: Option<i32>,
        #[prost(bytes = "vec", optional, tag = "6")]
        payload: Option<Vec<u8>>,
        #[prost(bytes = "vec", repeated, tag = "8")]
        ext: Vec<Vec<u8>>,
    }

    fn jid(name: &str, domain: &str, device: Option<&str>) -> Option<Jid> {
        let text = |text: &str| Some(text.to_owned());
        Some(Jid {
            app_key: text("o#a"),
            name: text(name),
            domain: text(domain),
            device: device.and_then(text),
        })
    }

    #[test]
    fn a_meta_reads_back_with_every_field_and_takes_another_payload() {
        let long = vec![7u8; 300];
        let parts = MetaParts {
            namespace: Namespace::Chat,
            app_key: "o#a",
            id: u64::MAX >> 1,
            from: Address { kind: ChannelKind::Direct, name: "alice", device: "web_1" },
            to: Address { kind: ChannelKind::Group, name: "42", device: "" },
            timestamp_ms: 1_800_000_000_000,
            payload: &long,
            ext: &[0x42, 2, 1, 2],
        };
        let encoded = encode(&parts);
        let mut expected = Meta {
            id: Some(u64::MAX >> 1),
            from: jid("alice", "easemob.com", Some("web_1")),
            to: jid("42", "conference.easemob.com", None),
            timestamp: Some(1_800_000_000_000),
            ns: Some(1),
            payload: Some(long.clone()),
            ext: vec![vec![1, 2]],
        };
        assert_eq!(Meta::decode(encoded.clone()).unwrap(), expected);
        assert_eq!(payload_of(&encoded).unwrap(), &long);
        expected.payload = Some(vec![1]);
        assert_eq!(Meta::decode(with_payload(&encoded, &[1]).unwrap()).unwrap(), expected);
    }
}
