//! What a client asks of a channel's history (features.md §4, msync.md §7).

use bulkhead_model::limits::HISTORY_PAGE_MAX;
use bulkhead_model::{fold_username, username_is_legal};
use bulkhead_proto::records::ContentKind;
use bulkhead_proto::router::{HistoryRequest, Queue, QueueKind};
use bytes::Bytes;
use serde_json::Value;

use super::body::invalid_body;
use super::error::RestError;

/// Messages of a page when `pull_number` is absent (features.md §4).
const PAGE_DEFAULT: u32 = 20;

/// Reads the body of POST `/users/{user}/messageroaming`.
pub(super) fn read(app: Bytes, user: String, body: &Value) -> Result<HistoryRequest, RestError> {
    if !body.is_object() {
        return Err(invalid_body());
    }
    Ok(HistoryRequest {
        app,
        user,
        queue: Some(queue(body.get("queue"))?),
        start_id: start_id(body.get("start"))?,
        limit: page(body.get("pull_number"))?,
        towards_newer: body.get("is_positive").and_then(Value::as_bool).unwrap_or(false),
        contents: contents(body.get("msgType"))?.into_iter().map(i32::from).collect(),
        from_ms: instant_ms(body.get("startTime")),
        to_ms: instant_ms(body.get("endTime")),
        sender: sender(body)?,
    })
}

/// `bob@easemob.com`, `123@conference.easemob.com` or a bare name; an `org#app_` in front is dropped. Rooms and threads
/// share the groups' domain and are told apart by the router.
fn queue(value: Option<&Value>) -> Result<Queue, RestError> {
    let text = value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| RestError::illegal("missing queue"))?;
    let (name, domain) = text.split_once('@').unwrap_or((text, "easemob.com"));
    let name = match name.split_once('#') {
        Some((_, after_org)) => after_org.split_once('_').map_or(after_org, |(_, name)| name),
        None => name,
    };
    let name = fold_username(name);
    let kind = match domain {
        "conference.easemob.com" => QueueKind::Group,
        "easemob.com" => QueueKind::Direct,
        _ => return Err(RestError::illegal("queue must end in @easemob.com or @conference.easemob.com")),
    };
    if !username_is_legal(&name) {
        return Err(RestError::illegal("queue is not legal"));
    }
    Ok(Queue { name, kind: kind.into() })
}

/// A message id as number or text; -1, nothing, and the "undefined" of a client without a cursor mean the beginning.
fn start_id(value: Option<&Value>) -> Result<u64, RestError> {
    let wrong = || RestError::illegal("start must be a message id or -1");
    match value {
        None | Some(Value::Null) => Ok(0),
        Some(Value::Number(number)) if number.as_i64() == Some(-1) => Ok(0),
        Some(Value::Number(number)) => number.as_u64().ok_or_else(wrong),
        Some(Value::String(text)) => match text.as_str() {
            "" | "-1" | "undefined" | "null" => Ok(0),
            text => text.parse().map_err(|_| wrong()),
        },
        Some(_) => Err(wrong()),
    }
}

fn page(value: Option<&Value>) -> Result<u32, RestError> {
    match value {
        None | Some(Value::Null) => Ok(PAGE_DEFAULT),
        Some(value) => match value.as_u64().or_else(|| value.as_str()?.parse().ok()) {
            Some(number) if number > 0 => Ok(number.min(HISTORY_PAGE_MAX as u64) as u32),
            _ => Err(RestError::illegal("pull_number must be a positive number")),
        },
    }
}

/// `txt,img,…`; unknown words are passed over as long as a known one is among them.
fn contents(value: Option<&Value>) -> Result<Vec<ContentKind>, RestError> {
    let words = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(words)) if words.trim().is_empty() => return Ok(Vec::new()),
        Some(Value::String(words)) => words,
        Some(_) => return Err(RestError::illegal("msgType must be a string")),
    };
    let kinds: Vec<_> = words.split(',').filter_map(|word| content_of(word.trim())).collect();
    if kinds.is_empty() { Err(RestError::illegal("msgType names no known type")) } else { Ok(kinds) }
}

fn content_of(word: &str) -> Option<ContentKind> {
    Some(match word {
        "txt" | "text" => ContentKind::Text,
        "img" | "image" => ContentKind::Image,
        "video" => ContentKind::Video,
        "loc" | "location" => ContentKind::Location,
        "audio" | "voice" => ContentKind::Voice,
        "file" => ContentKind::File,
        "cmd" => ContentKind::Command,
        "custom" => ContentKind::Custom,
        "combine" => ContentKind::Combine,
        _ => return None,
    })
}

/// Unix milliseconds; whatever is no positive number leaves the side open.
fn instant_ms(value: Option<&Value>) -> u64 {
    match value {
        Some(Value::Number(number)) => number.as_u64().unwrap_or(0),
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        _ => 0,
    }
}

/// `userId`, or the only one of `userIds`.
fn sender(body: &Value) -> Result<String, RestError> {
    let one = |value: &Value| value.as_str().map(fold_username);
    if let Some(Value::String(user)) = body.get("userId") {
        return Ok(fold_username(user));
    }
    match body.get("userIds").and_then(Value::as_array).map(Vec::as_slice) {
        None | Some([]) => Ok(String::new()),
        Some([user]) => one(user).ok_or_else(|| RestError::illegal("userIds must hold usernames")),
        Some(_) => Err(RestError::not_built("history of several senders")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(body: Value) -> Result<HistoryRequest, RestError> {
        read(Bytes::from_static(&[1; 16]), "alice".into(), &body)
    }

    #[test]
    fn the_web_sdks_request_is_understood() {
        let request = asked(json!({
            "queue": "bob@easemob.com", "start": -1, "pull_number": 20, "is_positive": false, "msgType": "txt,img",
            "end": -1, "startTime": 1, "endTime": 2, "userId": null
        }))
        .unwrap();
        assert_eq!(request.queue, Some(Queue { name: "bob".into(), kind: QueueKind::Direct.into() }));
        assert_eq!((request.start_id, request.limit, request.towards_newer), (0, 20, false));
        assert_eq!(request.contents, [ContentKind::Text as i32, ContentKind::Image as i32]);
        assert_eq!((request.from_ms, request.to_ms, request.sender.as_str()), (1, 2, ""));
    }

    #[test]
    fn a_start_is_a_number_or_text_and_everything_empty_is_the_beginning() {
        let start =
            |value: Value| asked(json!({"queue": "bob", "start": value})).map(|request| request.start_id);
        for nothing in [json!(-1), json!("-1"), json!(""), json!(null), json!("undefined")] {
            assert_eq!(start(nothing).unwrap(), 0);
        }
        assert_eq!(start(json!("1029457500870543736")).unwrap(), 1_029_457_500_870_543_736);
        assert_eq!(start(json!(1_029_457_500_870_543_736u64)).unwrap(), 1_029_457_500_870_543_736);
        assert!(start(json!("soon")).is_err());
        assert!(start(json!(-2)).is_err());
    }

    #[test]
    fn queues_are_read_in_every_form() {
        let queue = |text: &str| asked(json!({"queue": text})).map(|request| request.queue.unwrap());
        let group = QueueKind::Group as i32;
        assert_eq!(queue("12@conference.easemob.com").unwrap(), Queue { name: "12".into(), kind: group });
        assert_eq!(queue("demo#chat_bob_1@easemob.com").unwrap().name, "bob_1");
        assert_eq!(queue("Bob").unwrap().name, "bob");
        for wrong in ["", "@easemob.com", "bob@example.org", "a:b@easemob.com"] {
            assert_eq!(queue(wrong).unwrap_err().status.as_u16(), 400, "{wrong}");
        }
    }

    #[test]
    fn a_page_is_cut_to_its_limit() {
        let limit =
            |value: Value| asked(json!({"queue": "bob", "pull_number": value})).map(|request| request.limit);
        assert_eq!(limit(json!(50)).unwrap(), 50);
        assert_eq!(limit(json!(51)).unwrap(), 50);
        assert!(limit(json!(0)).is_err());
        assert!(limit(json!("x")).is_err());
    }
}
