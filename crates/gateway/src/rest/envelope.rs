//! The envelope of a successful answer (features.md §2.1).

use std::collections::BTreeMap;

use axum::response::Response;
use http::{HeaderValue, header};
use serde::Serialize;
use serde_json::Value;

use super::call::Call;
use super::error::RestError;

/// What a handler returns.
pub(super) type Answer = Result<Response, RestError>;

/// An answer under construction; fields that are not given are left out.
pub(super) struct Envelope<'a> {
    call: &'a Call,
    action: &'a str,
    entities: Option<Vec<Value>>,
    data: Option<Value>,
    count: Option<usize>,
    cursor: Option<String>,
    echo_query: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    action: &'a str,
    application: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<BTreeMap<&'a str, Vec<&'a str>>>,
    path: &'a str,
    uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entities: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    timestamp: u64,
    duration: u64,
    organization: &'a str,
    application_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
}

impl<'a> Envelope<'a> {
    /// `action` is the lower-case method, or the phrase that some user calls have.
    pub(super) fn new(call: &'a Call, action: &'a str) -> Self {
        Self { call, action, entities: None, data: None, count: None, cursor: None, echo_query: false }
    }

    pub(super) fn entities(mut self, entities: Vec<Value>) -> Self {
        self.entities = Some(entities);
        self
    }

    pub(super) fn data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    pub(super) fn count(mut self, count: usize) -> Self {
        self.count = Some(count);
        self
    }

    /// The cursor of the next page; an empty one (the last page) is left out.
    pub(super) fn cursor(mut self, cursor: String) -> Self {
        self.cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
        self
    }

    /// Echoes the query as `params`.
    pub(super) fn params(mut self) -> Self {
        self.echo_query = true;
        self
    }

    /// The finished answer.
    pub(super) fn respond(self) -> Answer {
        let now_ms = self.call.gateway.clock.now_ms();
        Ok(json(&self.fields(now_ms)))
    }

    fn fields(self, now_ms: u64) -> Fields<'a> {
        let call = self.call;
        let params = self.echo_query.then(|| {
            let mut params: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (key, value) in &call.query {
                params.entry(key).or_default().push(value);
            }
            params
        });
        Fields {
            action: self.action,
            application: call.app_uuid.to_string(),
            params,
            path: &call.path,
            uri: &call.uri,
            entities: self.entities,
            data: self.data,
            timestamp: now_ms,
            duration: now_ms.saturating_sub(call.began_ms),
            organization: &call.app.org_name,
            application_name: &call.app.app_name,
            cursor: self.cursor,
            count: self.count,
        }
    }
}

/// 200 with a JSON body of its own shape.
pub(super) fn json(body: &impl Serialize) -> Response {
    raw_json(serde_json::to_vec(body).expect("answers hold only strings, numbers and maps with string keys"))
}

/// 200 with JSON text that is already written.
pub(super) fn raw_json(text: Vec<u8>) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rest::fakes;

    #[test]
    fn an_answer_with_entities_looks_as_documented() {
        let call = fakes::call("/users", "limit=2&limit=3");
        let fields = Envelope::new(&call, "post")
            .entities(vec![json!({"username": "alice"})])
            .count(1)
            .cursor("abc".into())
            .params()
            .fields(fakes::NOW_MS + 7);
        assert_eq!(
            serde_json::to_string(&fields).unwrap(),
            r#"{"action":"post","application":"01010101-0101-0101-0101-010101010101","params":{"limit":["2","3"]},"path":"/users","uri":"https://chat.example/demo/chat/users","entities":[{"username":"alice"}],"timestamp":1800000000007,"duration":7,"organization":"demo","applicationName":"chat","cursor":"abc","count":1}"#
        );
    }

    #[test]
    fn an_answer_with_data_has_nothing_it_was_not_given() {
        let call = fakes::call("/messages/users", "");
        let fields = Envelope::new(&call, "post").data(json!({"bob": "1"})).cursor(String::new());
        assert_eq!(
            serde_json::to_string(&fields.fields(fakes::NOW_MS)).unwrap(),
            r#"{"action":"post","application":"01010101-0101-0101-0101-010101010101","path":"/messages/users","uri":"https://chat.example/demo/chat/messages/users","data":{"bob":"1"},"timestamp":1800000000000,"duration":0,"organization":"demo","applicationName":"chat"}"#
        );
    }
}
