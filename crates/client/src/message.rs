use bulkhead_msync::proto::{
    Jid, MessageBody, Meta, message_body, message_body::Content, message_body::content,
};
use prost::Message as _;

use crate::ClientError;

/// A chat message as it was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The server's id; rises strictly within a conversation.
    pub id: u64,
    pub from: String,
    /// The device that sent it; empty for messages that came in over REST.
    pub from_device: String,
    /// A user, or the id of a group or room.
    pub to: String,
    /// Unix milliseconds, the server's.
    pub timestamp_ms: u64,
    /// Everything that the sender wrote.
    pub body: MessageBody,
}

impl Message {
    /// Reads a `Meta` of the name space CHAT, as it is pushed or found in history. `Malformed` when it is none.
    pub fn from_meta(meta: &Meta) -> Result<Self, ClientError> {
        let payload = meta.payload.clone().unwrap_or_default();
        let body = MessageBody::decode(payload).map_err(|_| ClientError::Malformed("a message's body"))?;
        let (from, from_device) = match &meta.from {
            Some(from) => (from.name().to_owned(), from.client_resource().to_owned()),
            None => Default::default(),
        };
        // What the app sees as sender and receiver is in the body (msync.md §4); a receipt may leave it out.
        let name = |jid: &Option<Jid>, otherwise: String| match jid {
            Some(jid) if !jid.name().is_empty() => jid.name().to_owned(),
            _ => otherwise,
        };
        let to = meta.to.as_ref().map(|to| to.name().to_owned()).unwrap_or_default();
        Ok(Self {
            id: meta.id(),
            from: name(&body.from, from),
            from_device,
            to: name(&body.to, to),
            timestamp_ms: meta.timestamp(),
            body,
        })
    }

    /// The text of a text message.
    pub fn text(&self) -> Option<&str> {
        let content = self.body.contents.first()?;
        if content.r#type() == content::Type::Text { content.text.as_deref() } else { None }
    }
}

/// The body of a text message from one user to another.
pub fn text_body(from: &str, to: &str, text: &str) -> MessageBody {
    let jid = |name: &str| Some(Jid { name: Some(name.to_owned()), ..Jid::default() });
    // No subType: even a zero makes it a combined message to the web SDK (msync.md §3).
    let content = Content {
        r#type: Some(content::Type::Text.into()),
        text: Some(text.to_owned()),
        ..Content::default()
    };
    MessageBody {
        r#type: Some(message_body::Type::Chat.into()),
        from: jid(from),
        to: jid(to),
        contents: vec![content],
        ..MessageBody::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_back() {
        let meta = Meta {
            id: Some(5),
            payload: Some(text_body("alice", "bob", "hi").encode_to_vec().into()),
            from: Some(Jid { client_resource: Some("web".into()), ..Jid::default() }),
            ..Meta::default()
        };
        let message = Message::from_meta(&meta).unwrap();
        assert_eq!(
            (message.from.as_str(), message.to.as_str(), message.text()),
            ("alice", "bob", Some("hi"))
        );
        assert_eq!(message.from_device, "web");
    }

    #[test]
    fn a_body_that_is_none_is_malformed() {
        let meta = Meta { payload: Some(vec![0x0b].into()), ..Meta::default() };
        assert!(Message::from_meta(&meta).is_err());
    }
}
