//! The sender's `MessageBody`: what routing needs of it, and whether a receiver can read it at all.

use crate::proto::{message_body, message_body::content};
use crate::wire::{Fields, Malformed, Value};

/// What the services need to know of a message's body; the rest is the clients' own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    pub kind: message_body::Type,
    /// The kind of the first content.
    pub content: content::Type,
    /// The message that a receipt, recall or edit means; 0 for none.
    pub target_id: u64,
    /// Contents and extension together, in bytes: what the size limit counts.
    pub payload_bytes: usize,
    pub is_thread: bool,
}

/// Reads a body.
///
/// Every field that a client would read is checked for its type and its text for UTF-8: a body that one client can
/// write and another fails on would break the receiver's connection. A type of message or content that is not known is
/// malformed too.
pub fn read_body(bytes: &[u8]) -> Result<Body, Malformed> {
    let (mut kind, mut content) = (0, None);
    let (mut ack_id, mut edit_id) = (0, 0);
    let (mut payload_bytes, mut is_thread) = (0, false);
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next()? {
        check_field(field.number, field.value, BODY)?;
        match (field.number, field.value) {
            (1, Value::Varint(value)) => kind = value,
            (4, Value::Bytes(first)) => {
                payload_bytes += first.len();
                if content.is_none() {
                    content = Some(content_type(first)?);
                }
            }
            (5, Value::Bytes(entry)) => payload_bytes += entry.len(),
            (6, Value::Varint(value)) => ack_id = value,
            (9, Value::Bytes(meta)) => is_thread = is_thread_meta(meta),
            (11, Value::Varint(value)) => edit_id = value,
            _ => {}
        }
    }
    let kind = i32::try_from(kind).ok().and_then(|kind| kind.try_into().ok()).ok_or(Malformed)?;
    let target_id = match kind {
        message_body::Type::Edit => edit_id,
        message_body::Type::ReadAck | message_body::Type::DeliverAck | message_body::Type::Recall => ack_id,
        _ => 0,
    };
    Ok(Body { kind, content: content.unwrap_or(content::Type::Text), target_id, payload_bytes, is_thread })
}

fn content_type(bytes: &[u8]) -> Result<content::Type, Malformed> {
    let mut kind = 0;
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            kind = field.value.varint()?;
        }
    }
    i32::try_from(kind).ok().and_then(|kind| kind.try_into().ok()).ok_or(Malformed)
}

/// Clients mark a message in a thread by `{"thread":{}}` (msync.md §4).
fn is_thread_meta(meta: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(meta).is_ok_and(|meta| meta.get("thread").is_some())
}

/// What stands under a field number.
#[derive(Clone, Copy)]
enum Shape {
    Unknown,
    Varint,
    Fixed32,
    Fixed64,
    Text,
    Message(&'static [Shape]),
}

use Shape::{Fixed32, Fixed64, Message, Text, Unknown, Varint};

// Indexed by field number less one; the property test below holds them against the generated types.
const JID: &[Shape] = &[Text, Text, Text, Text];
const KEY_VALUE: &[Shape] = &[Text, Varint, Varint, Fixed32, Fixed64, Text];
const SIZE: &[Shape] = &[Fixed64, Fixed64];
const STREAM: &[Shape] = &[Text, Varint, Varint, Varint, Varint];
const CONTENT: &[Shape] = &[
    Varint,
    Text,
    Fixed64,
    Fixed64,
    Text,
    Text,
    Text,
    Text,
    Varint,
    Text,
    Message(KEY_VALUE),
    Varint,
    Message(SIZE),
    Text,
    Text,
    Text,
    Varint,
    Message(SIZE),
    Text,
    Message(KEY_VALUE),
    Text,
    Varint,
    Text,
    Text,
    Varint,
];
const BODY: &[Shape] = &[
    Varint,
    Message(JID),
    Message(JID),
    Message(CONTENT),
    Message(KEY_VALUE),
    Varint,
    Message(&[Varint]),
    Text,
    Text,
    Unknown,
    Varint,
    Varint,
    Message(STREAM),
];

/// Whether an entry of `Meta.ext` can be read.
pub(super) fn check_extension(entry: &[u8]) -> Result<(), Malformed> {
    check(entry, KEY_VALUE)
}

/// Descends as deep as the tables do, which is three levels.
fn check(bytes: &[u8], shapes: &'static [Shape]) -> Result<(), Malformed> {
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next()? {
        check_field(field.number, field.value, shapes)?;
    }
    Ok(())
}

fn check_field(number: u32, value: Value<'_>, shapes: &'static [Shape]) -> Result<(), Malformed> {
    match (shapes.get(number as usize - 1).copied().unwrap_or(Unknown), value) {
        (Unknown, _) | (Varint, Value::Varint(_)) => Ok(()),
        (Fixed32, Value::Fixed32) | (Fixed64, Value::Fixed64) => Ok(()),
        (Text, value) => value.text().map(|_| ()),
        (Message(shapes), Value::Bytes(bytes)) => check(bytes, shapes),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::proto::{KeyValue, MessageBody, message_body::Content};

    #[test]
    fn the_kind_of_the_first_content_and_the_target_are_found() {
        let content = |kind: content::Type| Content { r#type: Some(kind.into()), ..Content::default() };
        let body = MessageBody {
            r#type: Some(message_body::Type::Edit.into()),
            contents: vec![content(content::Type::Image), content(content::Type::Text)],
            ack_message_id: Some(3),
            edit_message_id: Some(4),
            ..MessageBody::default()
        };
        let read = read_body(&body.encode_to_vec()).unwrap();
        assert_eq!((read.kind, read.content), (message_body::Type::Edit, content::Type::Image));
        assert_eq!(read.target_id, 4);
        let recall = MessageBody { r#type: Some(message_body::Type::Recall.into()), ..body.clone() };
        assert_eq!(read_body(&recall.encode_to_vec()).unwrap().target_id, 3);
        let chat = MessageBody { r#type: Some(message_body::Type::Chat.into()), ..body };
        assert_eq!(read_body(&chat.encode_to_vec()).unwrap().target_id, 0);
    }

    #[test]
    fn a_thread_is_told_from_a_group() {
        let body = MessageBody { meta: Some(r#"{"thread":{}}"#.into()), ..MessageBody::default() };
        assert!(read_body(&body.encode_to_vec()).unwrap().is_thread);
        let body = MessageBody { meta: Some(r#"{"translations":[]}"#.into()), ..MessageBody::default() };
        assert!(!read_body(&body.encode_to_vec()).unwrap().is_thread);
    }

    #[test]
    fn a_body_that_a_receiver_could_not_read_is_malformed() {
        let wrong: [&[u8]; 7] = [
            &[0x08, 0x63],                         // type 99
            &[0x22, 0x02, 0x08, 0x63],             // contents[0].type 99
            &[0x22, 0x03, 0x12, 0x01, 0xff],       // text that is no UTF-8
            &[0x20, 0x01],                         // contents as a number
            &[0x22, 0x04, 0x5a, 0x02, 0x0a, 0x05], // params[0].key longer than its message
            &[0x2a, 0x02, 0x18],                   // ext[0] cut short
            &[0x0b],                               // a group
        ];
        for bytes in wrong {
            assert_eq!(read_body(bytes), Err(Malformed), "{bytes:?}");
        }
    }

    fn any_text() -> impl Strategy<Value = Option<String>> {
        prop::option::of(".{0,12}")
    }

    prop_compose! {
        fn any_body()(
            kind in 0i32..9,
            contents in prop::collection::vec((0i32..9, any_text(), any::<Option<f64>>(), any::<Option<i32>>()), 0..4),
            ext in prop::collection::vec((any_text(), any::<Option<i64>>()), 0..4),
            ack in any::<Option<u64>>(),
            edit in any::<Option<u64>>(),
        ) -> MessageBody {
            use crate::proto::key_value::Value as Typed;
            MessageBody {
                r#type: Some(kind),
                contents: contents
                    .into_iter()
                    .map(|(kind, text, latitude, duration)| Content {
                        r#type: Some(kind),
                        text,
                        latitude,
                        duration,
                        size: latitude.map(|width| content::Size { width: Some(width), height: None }),
                        ..Content::default()
                    })
                    .collect(),
                ext: ext
                    .into_iter()
                    .map(|(key, number)| KeyValue { key, r#type: None, value: number.map(Typed::VarintValue) })
                    .collect(),
                ack_message_id: ack,
                edit_message_id: edit,
                ..MessageBody::default()
            }
        }
    }

    proptest! {
        #[test]
        fn what_clients_write_is_read(body in any_body()) {
            let read = read_body(&body.encode_to_vec()).unwrap();
            prop_assert_eq!(read.kind, body.r#type());
            let first = body.contents.first().map_or(content::Type::Text, Content::r#type);
            prop_assert_eq!(read.content, first);
        }

        #[test]
        fn what_is_let_through_a_receiver_can_read(
            body in any_body(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = body.encode_to_vec();
            for (index, byte) in flips {
                if !bytes.is_empty() {
                    let at = index.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            if read_body(&bytes).is_ok() {
                prop_assert!(MessageBody::decode(bytes.as_slice()).is_ok());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_body(&bytes);
        }
    }
}
