//! The whole HTTP stack over services in memory: every layer answers JSON, every call has its status and shape.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bulkhead_proto::router::KickReason;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::fakes::{ALICE_TOKEN, APP_TOKEN, Fakes};
use super::routes;

struct Stack {
    fakes: Fakes,
    router: Router,
}

struct Answered {
    status: u16,
    headers: http::HeaderMap,
    body: Value,
}

impl Stack {
    fn new() -> Self {
        Self::of(Fakes::new())
    }

    fn of(fakes: Fakes) -> Self {
        let router = super::routes(fakes.gateway());
        Self { fakes, router }
    }

    async fn send(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).expect("every answer is JSON");
        assert_eq!(parts.headers[header::CONTENT_TYPE], "application/json");
        assert_eq!(parts.headers["access-control-allow-origin"], "*");
        if parts.status != StatusCode::OK {
            for field in ["error", "error_description", "exception", "timestamp", "duration"] {
                assert!(body.get(field).is_some(), "{field} is missing in {body}");
            }
        }
        Answered { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn call(&self, method: &str, path: &str, token: Option<&str>, body: Value) -> Answered {
        let mut request = Request::builder().method(method).uri(format!("/demo/chat{path}"));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(request.body(body).unwrap()).await
    }

    async fn raw(&self, method: &str, uri: &str, body: impl Into<Body>) -> Answered {
        let request = Request::builder().method(method).uri(uri).header("authorization", "Bearer app-token");
        self.send(request.body(body.into()).unwrap()).await
    }
}

#[tokio::test]
async fn every_layer_refuses_in_json() {
    let stack = Stack::new();
    for (method, uri, status, word) in [
        ("GET", "/", 404, "resource_not_found"),
        ("GET", "/nothing", 404, "resource_not_found"),
        ("GET", "/demo/chat", 404, "resource_not_found"),
        ("GET", "/demo/chat/nothing", 404, "resource_not_found"),
        ("GET", "/demo/other/users", 404, "organization_application_not_found"),
        ("GET", "/app-id/12/users", 404, "organization_application_not_found"),
        ("PATCH", "/demo/chat/users", 405, "method_not_allowed"),
        ("PUT", "/healthz", 405, "method_not_allowed"),
        ("GET", "/demo/panics/users", 500, "internal_server_error"),
        ("POST", "/demo/chat/messages/broadcast", 501, "not_implemented"),
        ("GET", "/easemob/server.json", 501, "not_implemented"),
    ] {
        let answered = stack.raw(method, uri, "").await;
        assert_eq!(
            (answered.status, answered.body["error"].as_str()),
            (status, Some(word)),
            "{method} {uri}"
        );
    }
}

#[tokio::test]
async fn bodies_are_read_without_a_content_type_and_refused_by_what_is_in_them() {
    let mut fakes = Fakes::new();
    fakes.settings.body_bytes_max = 1000;
    let stack = Stack::of(fakes);
    let users = "/demo/chat/users";
    let cases: [(Vec<u8>, u16, &str); 5] = [
        (b"{\"username\":".to_vec(), 400, "json_parse"),
        (b"\"\xff\"".to_vec(), 400, "json_parse"),
        (Vec::new(), 400, "invalid_request_body"),
        (b"7".to_vec(), 400, "invalid_request_body"),
        (vec![b' '; 1001], 413, "request_entity_too_large"),
    ];
    for (body, status, word) in cases {
        let answered = stack.raw("POST", users, body).await;
        assert_eq!((answered.status, answered.body["error"].as_str()), (status, Some(word)));
    }
    assert_eq!(stack.raw("POST", users, r#"{"username":"new","password":"p"}"#).await.status, 200);
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_answered_408() {
    let mut fakes = Fakes::new();
    fakes.settings.request_limit_ms = 20;
    let answered = Stack::of(fakes).raw("GET", "/demo/hangs/users", "").await;
    assert_eq!((answered.status, answered.body["error"].as_str()), (408, Some("request_timeout")));
}

#[tokio::test]
async fn calls_beyond_the_room_of_the_gateway_are_answered_503() {
    let stack = Stack::new();
    let mut hung: Vec<_> = (0..super::limits::CALLS_IN_FLIGHT_MAX)
        .map(|_| {
            let request = Request::builder().uri("/demo/hangs/users").body(Body::empty()).unwrap();
            Box::pin(stack.router.clone().oneshot(request))
        })
        .collect();
    for call in &mut hung {
        assert!(futures_util::poll!(call).is_pending());
    }
    let answered = stack.raw("GET", "/demo/chat/users", "").await;
    assert_eq!((answered.status, answered.body["error"].as_str()), (503, Some("service_unavailable")));
    assert_eq!(stack.raw("GET", "/healthz", "").await.status, 200);
    hung.pop();
    assert_eq!(stack.raw("GET", "/demo/chat/users", "").await.status, 200);
}

#[tokio::test]
async fn an_app_over_its_rate_is_answered_429() {
    let mut fakes = Fakes::new();
    fakes.settings.app_rate_per_s = 1;
    let stack = Stack::of(fakes);
    stack.raw("GET", "/demo/chat/users", "").await;
    let answered = stack.raw("GET", "/demo/chat/users", "").await;
    assert_eq!((answered.status, answered.body["error"].as_str()), (429, Some("reach_limit")));
}

#[tokio::test]
async fn an_address_over_its_rate_is_answered_429_and_another_is_not() {
    let mut fakes = Fakes::new();
    fakes.settings.address_rate_per_s = 1;
    let stack = Stack::of(fakes);
    let from = async |address: [u8; 4]| {
        let info = ConnectInfo(SocketAddr::from((address, 1000)));
        let request = Request::builder().uri("/demo/chat/users").extension(info).body(Body::empty()).unwrap();
        stack.send(request).await.status
    };
    assert_eq!(from([192, 0, 2, 1]).await, 401);
    assert_eq!(from([192, 0, 2, 1]).await, 429);
    assert_eq!(from([192, 0, 2, 2]).await, 401);
}

#[tokio::test]
async fn an_app_of_another_region_is_answered_421_with_its_home() {
    let stack = Stack::new();
    let answered = stack.raw("GET", "/app-id/71000000000000000000000000000000/users", "").await;
    assert_eq!(answered.status, 421);
    assert!(answered.body["error_description"].as_str().unwrap().contains("https://frankfurt.example"));
    let home = stack.raw("GET", "/app-id/61000000000000000000000000000000/users/alice", "").await;
    assert_eq!((home.status, home.body["path"].as_str()), (200, Some("/users/alice")));
}

#[tokio::test]
async fn an_app_that_only_a_token_of_another_region_knows_is_answered_421_with_its_home() {
    let stack = Stack::new();
    let of = |prefix: &str| {
        let app_id = format!("{prefix}{}", "0".repeat(30));
        bulkhead_token::build_chat_user_token(&app_id, &"c".repeat(32), "alice", 1_800_000_000, 600, 1)
            .unwrap()
    };
    let asked = |token: String| {
        let request = Request::builder().uri("/demo/elsewhere/users/alice");
        request.header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap()
    };
    let answered = stack.send(asked(of("71"))).await;
    assert_eq!(answered.status, 421);
    assert!(answered.body["error_description"].as_str().unwrap().contains("https://frankfurt.example"));
    assert_eq!(stack.send(asked(of("61"))).await.status, 404);
}

#[tokio::test]
async fn browsers_may_call_from_anywhere() {
    let stack = Stack::new();
    let request = Request::builder()
        .method("OPTIONS")
        .uri("/demo/chat/users/alice")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "authorization,restrict-access")
        .body(Body::empty())
        .unwrap();
    let answered = stack.send(request).await;
    assert_eq!(answered.status, 200);
    let methods = answered.headers["access-control-allow-methods"].to_str().unwrap().to_owned();
    assert!(methods.contains("PUT") && methods.contains("DELETE"), "{methods}");
    let headers = answered.headers["access-control-allow-headers"].to_str().unwrap().to_owned();
    for header in
        ["authorization", "content-type", "restrict-access", "share-secret", "x-requested-with", "accept"]
    {
        assert!(headers.contains(header), "{headers}");
    }
    assert!(!answered.headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test]
async fn tokens_decide_what_a_caller_may_do() {
    let stack = Stack::new();
    for token in [None, Some("forged"), Some("deactivated"), Some("expired"), Some("no-certificate")] {
        assert_eq!(stack.call("GET", "/users", token, Value::Null).await.status, 401, "{token:?}");
    }
    let alice = Some(ALICE_TOKEN);
    assert_eq!(stack.call("GET", "/users/alice", alice, Value::Null).await.status, 200);
    let uuid = "02020202-0202-0202-0202-020202020202";
    assert_eq!(stack.call("GET", &format!("/users/{uuid}"), alice, Value::Null).await.status, 200);
    for (method, path, body) in [
        ("GET", "/users/bob", Value::Null),
        ("GET", "/users/unknown", Value::Null),
        ("GET", "/users", Value::Null),
        ("DELETE", "/users", Value::Null),
        ("DELETE", "/users/alice", Value::Null),
        ("POST", "/users", json!({"username": "x", "password": "p"})),
        ("PUT", "/users/alice/password", json!({"newpassword": "p"})),
        ("PUT", "/users/bob", json!({"nickname": "n"})),
        ("PUT", "/users/alice", json!({"notification_display_style": 1})),
        ("POST", "/users/alice/deactivate", Value::Null),
        ("GET", "/users/alice/disconnect", Value::Null),
        ("POST", "/messages/users", json!({"to": ["bob"], "type": "txt", "body": {"msg": "m"}})),
        ("POST", "/token/users/alice/invalid", Value::Null),
        ("POST", "/security/tokens/users/alice/revoke", Value::Null),
        ("POST", "/security/tokens/revoke", json!({"token": ALICE_TOKEN})),
        ("POST", "/security/tokens/revoke-all", json!({})),
        ("POST", "/token", json!({"grant_type": "inherit", "username": "bob"})),
        ("POST", "/users/bob/messageroaming", json!({"queue": "alice"})),
    ] {
        let answered = stack.call(method, path, alice, body).await;
        assert_eq!(answered.status, 401, "{method} {path}");
        assert_eq!(answered.body["error_description"], "Unable to authenticate (OAuth)");
    }
    assert!(stack.fakes.router.published.lock().is_empty());
    assert!(stack.fakes.router.disconnected.lock().is_empty());
    assert!(stack.fakes.auth.revoked.lock().is_empty());
}

#[tokio::test]
async fn tokens_are_taken_back_by_themselves_by_their_hash_by_user_and_all() {
    let stack = Stack::new();
    let app = Some(APP_TOKEN);
    let hash = "0a".repeat(32);
    for (path, body) in [
        ("revoke", json!({"token": "a token"})),
        ("revoke", json!({"token_sha256": hash})),
        ("users/Alice/revoke", Value::Null),
        ("revoke-all", json!({})),
        ("revoke-all", json!({"issued_before": 1_700_000_000_000_u64})),
    ] {
        let answered = stack.call("POST", &format!("/security/tokens/{path}"), app, body).await;
        assert_eq!((answered.status, &answered.body["data"]["result"]), (200, &json!(true)), "{path}");
    }
    let expected = ["a token", hash.as_str(), "alice", "before 0", "before 1700000000000"];
    assert_eq!(*stack.fakes.auth.revoked.lock(), expected);
    for (path, body) in [
        ("revoke", json!({})),
        ("revoke", json!({"token": "a", "token_sha256": hash})),
        ("revoke", json!({"token_sha256": "0a"})),
        ("revoke-all", json!({"issued_before": "yesterday"})),
        ("revoke-all", json!({"issued_before": 0})),
    ] {
        let answered = stack.call("POST", &format!("/security/tokens/{path}"), app, body).await;
        assert_eq!(answered.body["error"], "illegal_argument", "{path}");
    }
}

#[tokio::test]
async fn the_four_grants_have_their_shapes() {
    let stack = Stack::new();
    let app = stack
        .call(
            "POST",
            "/token",
            None,
            json!({"grant_type": "client_credentials", "client_id": "i", "client_secret": "secret"}),
        )
        .await;
    assert_eq!(
        app.body,
        json!({"access_token": "granted", "expires_in": 60, "application": "01010101-0101-0101-0101-010101010101"})
    );
    let user = stack
        .call(
            "POST",
            "/token",
            None,
            json!({"grant_type": "password", "username": "Alice", "password": "right"}),
        )
        .await;
    assert_eq!((user.status, user.body["user"]["username"].as_str()), (200, Some("alice")));
    let inherit = json!({"grant_type": "inherit", "username": "bob", "autoCreateUser": true});
    let inherited = stack.call("POST", "/token", Some(APP_TOKEN), inherit.clone()).await;
    assert_eq!((inherited.status, inherited.body["user"]["username"].as_str()), (200, Some("bob")));
    assert_eq!(stack.call("POST", "/token", None, inherit).await.status, 401);
    let exchanged = stack.call("POST", "/token", Some("007abc"), json!({"grant_type": "agora"})).await;
    assert_eq!(exchanged.body, json!({"access_token": "granted", "expire_timestamp": 1_800_000_060_000u64}));

    for (body, status, text) in [
        (
            json!({"grant_type": "password", "username": "alice", "password": "w"}),
            400,
            "invalid username or password",
        ),
        (
            json!({"grant_type": "password", "username": "alice", "password": "w", "timestamp": 1}),
            400,
            "invalid password",
        ),
        (json!({"grant_type": "password", "username": "unknown", "password": "w"}), 404, "user not found"),
        (json!({"grant_type": "password", "username": "alice"}), 400, "password or pin must provided"),
        (
            json!({"grant_type": "client_credentials", "client_id": "i", "client_secret": "w"}),
            400,
            "client_id does not match",
        ),
    ] {
        let answered = stack.call("POST", "/token", None, body).await;
        assert_eq!(
            (answered.status, answered.body["error"].as_str(), answered.body["error_description"].as_str()),
            (status, Some("invalid_grant"), Some(text))
        );
    }
}

#[tokio::test]
async fn registration_is_open_or_needs_app_privilege_and_a_batch_may_fail_in_part() {
    let stack = Stack::new();
    let carol = json!({"username": "carol", "password": "p"});
    let closed = stack.call("POST", "/users", None, carol.clone()).await;
    assert_eq!(closed.status, 401);
    assert_eq!(closed.body["error_description"], "Registration is not open, please contact the app admin.");
    *stack.fakes.auth.open_registration.lock() = true;
    let opened = stack.call("POST", "/users", None, carol).await;
    assert_eq!((opened.status, opened.body["entities"][0]["username"].as_str()), (200, Some("carol")));

    let twice = stack.call("POST", "/users", Some(APP_TOKEN), json!({"username": "alice"})).await;
    assert_eq!((twice.status, twice.body["error"].as_str()), (400, Some("duplicate_unique_property_exists")));
    let batch = json!([{"username": "dave", "password": "p", "nickname": "D"}, {"username": "bob"}, {"username": "a b"}]);
    let batch = stack.call("POST", "/users", Some(APP_TOKEN), batch).await;
    assert_eq!(batch.status, 200);
    assert_eq!(batch.body["entities"][0]["nickname"], "D");
    let failed: Vec<_> =
        batch.body["data"].as_array().unwrap().iter().map(|entry| entry["username"].clone()).collect();
    assert_eq!(failed, [json!("a b"), json!("bob")]);
    for wrong in [json!([]), json!(vec![json!({"username": "x"}); 61])] {
        assert_eq!(stack.call("POST", "/users", Some(APP_TOKEN), wrong).await.status, 400);
    }
}

#[tokio::test]
async fn users_are_listed_changed_and_taken_offline() {
    let stack = Stack::new();
    let app = Some(APP_TOKEN);
    let page = stack.call("GET", "/users?limit=1", app, Value::Null).await;
    assert_eq!((page.body["count"].as_u64(), page.body["cursor"].as_str()), (Some(1), Some("more")));
    assert_eq!(page.body["params"], json!({"limit": ["1"]}));
    let all = stack.call("GET", "/users", app, Value::Null).await;
    assert_eq!((all.body["count"].as_u64(), all.body.get("cursor")), (Some(2), None));
    assert_eq!(stack.call("GET", "/users?limit=0", app, Value::Null).await.status, 400);

    let missing = stack.call("GET", "/users/unknown", app, Value::Null).await;
    assert_eq!((missing.status, missing.body["exception"].as_str()), (404, Some("UserNotFoundException")));
    let named = stack.call("PUT", "/users/alice", Some(ALICE_TOKEN), json!({"nickname": "Al"})).await;
    assert_eq!(named.body["entities"][0]["nickname"], "Al");

    let password = stack.call("PUT", "/users/alice/password", app, json!({"newpassword": "p"})).await;
    assert_eq!(password.body["action"], "set user password");
    let deactivated = stack.call("POST", "/users/alice/deactivate", app, Value::Null).await;
    assert_eq!(deactivated.body["action"], "Deactivate user");
    assert_eq!(deactivated.body["entities"][0]["activated"], false);
    assert_eq!(
        stack.call("POST", "/users/alice/activate", app, Value::Null).await.body["action"],
        "activate user"
    );
    for (method, path) in [("GET", ""), ("POST", ""), ("DELETE", "/webim_1"), ("GET", "/webim_1")] {
        let answered = stack.call(method, &format!("/users/bob/disconnect{path}"), app, Value::Null).await;
        assert_eq!(answered.body["data"], json!({"result": true}), "{method} {path}");
    }
    assert_eq!(
        stack.call("DELETE", "/users/bob", app, Value::Null).await.body["entities"][0]["username"],
        "bob"
    );
    assert_eq!(stack.call("POST", "/token/users/bob/invalid", app, Value::Null).await.status, 200);

    let kicked =
        |user: &str, device: &str, reason: KickReason| (user.to_owned(), device.to_owned(), reason as i32);
    assert_eq!(
        *stack.fakes.router.disconnected.lock(),
        [
            kicked("alice", "", KickReason::PasswordChanged),
            kicked("alice", "", KickReason::OtherDevice),
            kicked("bob", "", KickReason::OtherDevice),
            kicked("bob", "", KickReason::OtherDevice),
            kicked("bob", "webim_1", KickReason::OtherDevice),
            kicked("bob", "webim_1", KickReason::OtherDevice),
            kicked("bob", "", KickReason::UserRemoved),
            kicked("bob", "", KickReason::OtherDevice),
        ]
    );
    assert_eq!(*stack.fakes.router.forgotten.lock(), ["bob"]);
    assert_eq!(*stack.fakes.auth.revoked.lock(), ["bob"]);
}

#[tokio::test]
async fn the_state_of_users_has_its_shapes() {
    let stack = Stack::new();
    let app = Some(APP_TOKEN);
    let data = async |method: &str, path: &str, body: Value| {
        stack.call(method, path, app, body).await.body["data"].clone()
    };
    assert_eq!(data("GET", "/users/alice/status", Value::Null).await, json!({"alice": "online"}));
    assert_eq!(
        data("POST", "/users/batch/status", json!({"usernames": ["alice", "bob", "no body", "alice"]})).await,
        json!([{"alice": "online"}, {"bob": "offline"}, {"no body": "offline"}, {"alice": "online"}])
    );
    assert_eq!(data("GET", "/users/alice/offline_msg_count", Value::Null).await, json!({"alice": 3}));
    assert_eq!(
        data("GET", "/users/alice/offline_msg_status/1", Value::Null).await,
        json!({"1": "delivered"})
    );
    assert_eq!(
        data("GET", "/users/alice/offline_msg_status/2", Value::Null).await,
        json!({"2": "undelivered"})
    );
    assert_eq!(
        data("GET", "/users/alice/resources", Value::Null).await,
        json!([{"res": "webim_1", "device_uuid": "uuid", "device_name": "webim"}])
    );
    let expires = stack.call("GET", "/sdk/users/alice/token/expires", Some(ALICE_TOKEN), Value::Null).await;
    assert_eq!(expires.body, json!({"expire_timestamp": 1_800_000_001_000u64}));
}

#[tokio::test]
async fn a_message_enters_at_the_router_once_for_each_target() {
    let stack = Stack::new();
    let message = json!({
        "from": "alice", "to": ["bob", "nobody", "carol", "bob"], "type": "txt", "body": {"msg": "hi"},
        "routetype": "ROUTE_ONLINE", "sync_device": true, "roam_ignore_users": ["bob"]
    });
    let sent = stack.call("POST", "/messages/users", Some(APP_TOKEN), message).await;
    assert_eq!((sent.status, &sent.body["data"]), (200, &json!({"bob": "1", "carol": "2"})));
    let published = stack.fakes.router.published.lock().clone();
    assert_eq!(published.len(), 2);
    assert!(
        published.iter().all(|publish| publish.administrative && publish.online_only && publish.sync_devices)
    );
    assert_eq!(published[0].history_hidden_for, ["bob"]);
    assert_eq!(published[0].client_id, 0);

    let legacy = json!({"target_type": "users", "target": ["bob"], "msg": {"type": "txt", "msg": "hi"}});
    let words = stack.call("POST", "/messages", Some(APP_TOKEN), legacy.clone()).await;
    assert_eq!(words.body["data"], json!({"bob": "success"}));
    let ids = stack.call("POST", "/messages?useMsgId=true", Some(APP_TOKEN), legacy).await;
    assert_eq!(ids.body["data"], json!({"bob": "4"}));
    let others = json!({"target_type": "stars", "target": ["1"], "msg": {"type": "txt", "msg": "hi"}});
    assert_eq!(stack.call("POST", "/messages", Some(APP_TOKEN), others).await.status, 400);
    let failed = json!({"to": ["nobody"], "type": "txt", "body": {"msg": "hi"}});
    assert_eq!(stack.call("POST", "/messages/users", Some(APP_TOKEN), failed).await.status, 404);
}

#[tokio::test]
async fn a_user_reads_its_own_history() {
    let stack = Stack::new();
    let body = json!({"queue": "bob@easemob.com", "start": -1, "pull_number": 20, "is_positive": false});
    let page = stack.call("POST", "/users/alice/messageroaming", Some(ALICE_TOKEN), body.clone()).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.body["data"]["msgs"], json!([{"msg": "bWV0YQ=="}]));
    assert_eq!(page.body["data"]["next_key"], "5");
    assert_eq!(stack.fakes.router.histories.lock()[0].user, "alice");
    assert_eq!(stack.call("POST", "/users/alice/messageroaming", Some(APP_TOKEN), body).await.status, 401);
}

#[tokio::test]
async fn health_is_told_to_anybody() {
    let router = routes(Fakes::new().gateway());
    let request = Request::builder().uri("/healthz").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), r#"{"status":"ok"}"#);
}
