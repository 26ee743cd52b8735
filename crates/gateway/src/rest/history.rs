//! POST `/users/{user}/messageroaming`: a page of history for the user itself (features.md §4, msync.md §7).
//!
//! The hot read of the API: its answer is written straight into one buffer, without a tree of values.

use std::io::Write;

use axum::extract::Path;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulkhead_proto::router::Page;

use super::body::Json;
use super::call::Call;
use super::caller::Caller;
use super::envelope::{Answer, raw_json};
use super::history_request;

/// Answers a page; only the user itself may ask.
pub(super) async fn roaming(caller: Caller, Path(user): Path<String>, Json(body): Json) -> Answer {
    let user = caller.require_self(&user)?.to_owned();
    let call = &caller.call;
    let page = call.gateway.router.history(history_request::read(call.app_bytes(), user, &body)?).await?;
    Ok(raw_json(write(call, &page, call.gateway.clock.now_ms())))
}

fn write(call: &Call, page: &Page, now_ms: u64) -> Vec<u8> {
    const ENVELOPE_BYTES: usize = 512;
    const ENTRY_BYTES: usize = 16;
    let entries: usize =
        page.messages.iter().map(|message| message.meta.len().div_ceil(3) * 4 + ENTRY_BYTES).sum();
    let mut text = String::with_capacity(ENVELOPE_BYTES + call.path.len() + call.uri.len() + entries);
    text.push_str(r#"{"action":"get message roaming","data":{"msgs":["#);
    for (index, message) in page.messages.iter().enumerate() {
        text.push_str(if index == 0 { r#"{"msg":""# } else { r#",{"msg":""# });
        STANDARD.encode_string(&message.meta, &mut text);
        text.push_str(r#""}"#);
    }
    let mut out = text.into_bytes();
    // A client that gets no key keeps its own; it must not start again from the beginning.
    let next_key = if page.next_key == 0 { String::new() } else { page.next_key.to_string() };
    let duration_ms = now_ms.saturating_sub(call.began_ms);
    write!(
        out,
        r#"],"next_key":"{next_key}","is_last":{},"timestamp":{now_ms}}},"timestamp":{now_ms},"duration":{duration_ms},"application":"{}","#,
        page.is_last, call.app_uuid
    )
    .expect("writing to memory cannot fail");
    for (name, value) in [
        (r#""path":"#, &call.path),
        (r#","uri":"#, &call.uri),
        (r#","organization":"#, &call.app.org_name),
        (r#","applicationName":"#, &call.app.app_name),
    ] {
        out.extend_from_slice(name.as_bytes());
        serde_json::to_writer(&mut out, value).expect("a string always serializes");
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use bulkhead_proto::router::PageMessage;
    use bytes::Bytes;

    use super::*;
    use crate::rest::fakes;

    #[test]
    fn a_page_is_written_as_documented() {
        let call = fakes::call("/users/alice/messageroaming", "");
        let message = |id, meta: &'static [u8]| PageMessage { id, meta: Bytes::from_static(meta) };
        let page =
            Page { messages: vec![message(7, b"one"), message(6, b"\xff\xfe")], next_key: 6, is_last: false };
        assert_eq!(
            String::from_utf8(write(&call, &page, fakes::NOW_MS + 5)).unwrap(),
            r#"{"action":"get message roaming","data":{"msgs":[{"msg":"b25l"},{"msg":"//4="}],"next_key":"6","is_last":false,"timestamp":1800000000005},"timestamp":1800000000005,"duration":5,"application":"01010101-0101-0101-0101-010101010101","path":"/users/alice/messageroaming","uri":"https://chat.example/demo/chat/users/alice/messageroaming","organization":"demo","applicationName":"chat"}"#
        );
    }

    #[test]
    fn an_empty_page_and_an_odd_path_are_still_json() {
        let call = fakes::call("/users/\"al/messageroaming", "");
        let page = Page { messages: Vec::new(), next_key: 0, is_last: true };
        let text = write(&call, &page, fakes::NOW_MS);
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["data"]["msgs"], serde_json::json!([]));
        assert_eq!(value["data"]["is_last"], true);
        assert_eq!(value["path"], "/users/\"al/messageroaming");
    }
}
