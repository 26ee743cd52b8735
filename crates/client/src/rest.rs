use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulkhead_model::AppKey;
use bulkhead_msync::proto::Meta;
use prost::Message as _;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{ClientError, Message, RegionAddress, frames};

/// How long a call may take.
const CALL_LIMIT: Duration = Duration::from_secs(20);

/// The machine word of a 404 that is about a user, and not about the app or the path (features.md §5).
const USER_NOT_FOUND: &str = "service_resource_not_found";

/// The REST API of one app.
#[derive(Clone)]
pub struct Rest {
    http: reqwest::Client,
    /// `{region}/{org}/{app}`.
    base: String,
}

/// What `POST /token` answers. Holds a credential, so it has no `Debug`.
#[derive(Clone, Deserialize)]
pub struct GrantedToken {
    pub access_token: String,
    /// Seconds from now; absent where the grant says something else.
    #[serde(default)]
    pub expires_in: u64,
}

/// A user to be made. Holds a password, so it has no `Debug`.
#[derive(Clone, Serialize)]
pub struct NewUser {
    pub username: String,
    /// Without one the user can only come in with a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// What became of the users of one registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    pub usernames: Vec<String>,
    /// Username and reason of those that were not made.
    pub failed: Vec<(String, String)>,
}

/// Which page of a conversation to read.
#[derive(Clone, Debug)]
pub struct HistoryQuery<'a> {
    /// The other user, or the id of a group or room.
    pub with: &'a str,
    pub is_group: bool,
    /// The key of the page before; `None` for the first page.
    pub start: Option<&'a str>,
    /// 1 to 50 messages.
    pub limit: usize,
    /// From old to new instead of from new to old.
    pub towards_newer: bool,
}

/// A page of history, in the order in which it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPage {
    pub messages: Vec<Message>,
    /// What [`HistoryQuery::start`] takes for the page after.
    pub next_key: String,
    pub is_last: bool,
}

impl Rest {
    /// The API of `app` in a region. `Invalid` when the HTTP client cannot be set up.
    pub fn new(region: &RegionAddress, app: &AppKey) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&region.tls()))
            .timeout(CALL_LIMIT)
            .build()
            .map_err(|error| ClientError::Invalid(error.to_string()))?;
        Ok(Self { http, base: format!("{}/{}/{}", region.rest_url(), app.org, app.app) })
    }

    /// A token for a user by its password.
    pub async fn grant_password(&self, username: &str, password: &str) -> Result<GrantedToken, ClientError> {
        self.grant(None, json!({"grant_type": "password", "username": username, "password": password})).await
    }

    /// A token with app privilege by the app's client id and secret.
    pub async fn grant_client(
        &self,
        client_id: &str,
        client_secret: &str,
    ) -> Result<GrantedToken, ClientError> {
        let body = json!({
            "grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret
        });
        self.grant(None, body).await
    }

    /// A token for a user without its password, with app privilege; makes the user when `create` is set.
    pub async fn grant_inherit(
        &self,
        app_token: &str,
        username: &str,
        create: bool,
    ) -> Result<GrantedToken, ClientError> {
        let body = json!({"grant_type": "inherit", "username": username, "autoCreateUser": create});
        self.grant(Some(app_token), body).await
    }

    /// Exchanges an AccessToken2 for an opaque token.
    pub async fn exchange(&self, access_token2: &str) -> Result<GrantedToken, ClientError> {
        self.grant(Some(access_token2), json!({"grant_type": "agora"})).await
    }

    /// Makes up to 60 users, with app privilege.
    pub async fn register(&self, app_token: &str, users: &[NewUser]) -> Result<Registered, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            entities: Vec<Entity>,
            #[serde(default)]
            data: Vec<Failure>,
        }
        #[derive(Deserialize)]
        struct Entity {
            username: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Failure {
            username: String,
            register_user_fail_reason: String,
        }
        let answer: Answer = self.post("/users", Some(app_token), &json!(users)).await?;
        Ok(Registered {
            usernames: answer.entities.into_iter().map(|entity| entity.username).collect(),
            failed: answer
                .data
                .into_iter()
                .map(|one| (one.username, one.register_user_fail_reason))
                .collect(),
        })
    }

    /// Whether there is a user of this name, with app privilege.
    pub async fn user_exists(&self, app_token: &str, username: &str) -> Result<bool, ClientError> {
        let request = self.http.get(format!("{}/users/{username}", self.base)).bearer_auth(app_token);
        match self.call::<IgnoredAny>(request).await {
            Ok(_) => Ok(true),
            Err(ClientError::Rest { status: 404, error, .. }) if error == USER_NOT_FOUND => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a text from `from` to up to 600 users, with app privilege; answers the message id for each user.
    pub async fn send_text(
        &self,
        app_token: &str,
        from: &str,
        to: &[&str],
        text: &str,
    ) -> Result<BTreeMap<String, u64>, ClientError> {
        let message = json!({"from": from, "to": to, "type": "txt", "body": {"msg": text}});
        self.send(app_token, &message).await
    }

    /// Sends a message of any type, in the form of features.md §3.4; answers the message id for each user.
    pub async fn send(&self, app_token: &str, message: &Value) -> Result<BTreeMap<String, u64>, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            data: BTreeMap<String, String>,
        }
        let answer: Answer = self.post("/messages/users", Some(app_token), message).await?;
        let read = |(user, id): (String, String)| match id.parse() {
            Ok(id) => Ok((user, id)),
            Err(_) => Err(ClientError::Malformed("a message id")),
        };
        answer.data.into_iter().map(read).collect()
    }

    /// A page of the history of `user`, with that user's own token.
    pub async fn history(
        &self,
        user_token: &str,
        user: &str,
        query: &HistoryQuery<'_>,
    ) -> Result<HistoryPage, ClientError> {
        let body = json!({
            "queue": frames::queue_name(query.with, query.is_group),
            "start": query.start.unwrap_or("-1"),
            "pull_number": query.limit,
            "is_positive": query.towards_newer,
        });
        let answer: HistoryAnswer =
            self.post(&format!("/users/{user}/messageroaming"), Some(user_token), &body).await?;
        answer.data.read()
    }

    /// Makes a group of `owner`, for up to `members_max` members, with app privilege; answers its id.
    pub async fn create_group(
        &self,
        app_token: &str,
        owner: &str,
        members_max: u32,
    ) -> Result<String, ClientError> {
        let group = json!({"groupname": "group", "public": false, "owner": owner, "maxusers": members_max});
        self.create("/chatgroups", app_token, &group, "groupid").await
    }

    /// Adds up to 60 users to a group, with app privilege.
    pub async fn add_to_group(
        &self,
        app_token: &str,
        group: &str,
        users: &[&str],
    ) -> Result<(), ClientError> {
        let path = format!("/chatgroups/{group}/users");
        self.post::<IgnoredAny>(&path, Some(app_token), &json!({ "usernames": users })).await.map(drop)
    }

    /// Makes a chat room of `owner`, for up to `members_max` members, with app privilege; answers its id.
    pub async fn create_room(
        &self,
        app_token: &str,
        owner: &str,
        members_max: u32,
    ) -> Result<String, ClientError> {
        let room = json!({"name": "room", "description": "", "owner": owner, "maxusers": members_max});
        self.create("/chatrooms", app_token, &room, "id").await
    }

    /// Answers the id of what was made, which is in the answer under `name`.
    async fn create(
        &self,
        path: &str,
        app_token: &str,
        body: &Value,
        name: &str,
    ) -> Result<String, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            data: BTreeMap<String, String>,
        }
        let mut answer: Answer = self.post(path, Some(app_token), body).await?;
        answer.data.remove(name).ok_or(ClientError::Malformed("the answer to a creation"))
    }

    async fn grant(&self, bearer: Option<&str>, body: Value) -> Result<GrantedToken, ClientError> {
        self.post("/token", bearer, &body).await
    }

    async fn post<A: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        bearer: Option<&str>,
        body: &Value,
    ) -> Result<A, ClientError> {
        let mut request = self.http.post(format!("{}{path}", self.base)).json(body);
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        self.call(request).await
    }

    async fn call<A: for<'de> Deserialize<'de>>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<A, ClientError> {
        let unreachable = |error: reqwest::Error| match error.is_timeout() {
            true => ClientError::Timeout(CALL_LIMIT.as_secs()),
            // Without the address, which would only repeat what the caller knows.
            false => ClientError::Connection(with_source(&error.without_url())),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(unreachable)?;
        if status != 200 {
            return Err(refusal(status, &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|_| ClientError::Malformed("the body of a REST answer"))
    }
}

fn refusal(status: u16, body: &[u8]) -> ClientError {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Refusal {
        error: String,
        error_description: String,
    }
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    ClientError::Rest { status, error: refusal.error, description: refusal.error_description }
}

/// An HTTP error says only in its source what was wrong.
fn with_source(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[derive(Deserialize)]
struct HistoryAnswer {
    data: HistoryData,
}

#[derive(Deserialize)]
struct HistoryData {
    msgs: Vec<HistoryEntry>,
    #[serde(default)]
    next_key: String,
    #[serde(default)]
    is_last: bool,
}

#[derive(Deserialize)]
struct HistoryEntry {
    msg: String,
}

impl HistoryData {
    fn read(self) -> Result<HistoryPage, ClientError> {
        let read = |entry: HistoryEntry| {
            let bytes =
                STANDARD.decode(entry.msg).map_err(|_| ClientError::Malformed("a message of history"))?;
            let meta =
                Meta::decode(bytes.as_slice()).map_err(|_| ClientError::Malformed("a message of history"))?;
            Message::from_meta(&meta)
        };
        let messages = self.msgs.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(HistoryPage { messages, next_key: self.next_key, is_last: self.is_last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text_body;

    #[test]
    fn a_page_of_history_is_read() {
        let meta = Meta {
            id: Some(9),
            payload: Some(text_body("alice", "bob", "hi").encode_to_vec().into()),
            ..Meta::default()
        };
        let answer = json!({
            "data": {"msgs": [{"msg": STANDARD.encode(meta.encode_to_vec())}], "next_key": "9", "is_last": false}
        });
        let answer: HistoryAnswer = serde_json::from_value(answer).unwrap();
        let page = answer.data.read().unwrap();
        assert_eq!((page.messages[0].id, page.messages[0].text()), (9, Some("hi")));
        assert_eq!((page.next_key.as_str(), page.is_last), ("9", false));
    }

    #[test]
    fn a_refusal_is_read_and_a_body_that_is_none_is_still_a_refusal() {
        let body = br#"{"error":"unauthorized","error_description":"Unable to authenticate (OAuth)"}"#;
        let ClientError::Rest { status, error, description } = refusal(401, body) else { panic!() };
        assert_eq!((status, error.as_str()), (401, "unauthorized"));
        assert_eq!(description, "Unable to authenticate (OAuth)");
        assert!(matches!(refusal(502, b"<html>"), ClientError::Rest { status: 502, .. }));
    }
}
