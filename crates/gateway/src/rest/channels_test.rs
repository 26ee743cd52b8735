//! Calls on groups and rooms over the whole HTTP stack: who may do what, their bounds, and the shape of every answer.

use axum::Router;
use axum::body::Body;
use bulkhead_proto::router::{Actor, QueueKind};
use http::{Request, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::fake_channels::Asked;
use super::fakes::{ALICE_TOKEN, APP_TOKEN, Fakes};

struct Stack {
    fakes: Fakes,
    router: Router,
}

impl Stack {
    fn new() -> Self {
        let fakes = Fakes::new();
        let router = super::routes(fakes.gateway());
        Self { fakes, router }
    }

    async fn call(&self, method: &str, path: &str, token: &str, body: Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/demo/chat{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).expect("every answer is JSON"))
    }

    /// `data` of a call that must succeed.
    async fn data(&self, method: &str, path: &str, token: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, token, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer["data"].clone()
    }

    fn last(&self) -> Asked {
        self.fakes.router.channels.last()
    }

    fn asked_nothing(&self) -> bool {
        self.fakes.router.channels.asked.lock().is_empty()
    }
}

fn alice(device: &str) -> Option<Actor> {
    Some(Actor { user: "alice".into(), device: device.into() })
}

#[tokio::test]
async fn a_user_makes_groups_of_its_own_and_the_app_makes_them_for_anybody() {
    let stack = Stack::new();
    let body = json!({
        "owner": "Alice", "groupname": "gn", "desc": "d", "members": ["Bob"], "public": true, "approval": true,
        "allowinvites": true, "invite_need_confirm": false, "maxusers": 5, "custom": "x"
    });
    let data = stack.data("POST", "/chatgroups?resource=web_1", ALICE_TOKEN, body.clone()).await;
    assert_eq!(data, json!({"groupid": "7"}));
    let Asked::Create(request) = stack.last() else { panic!("not a creation") };
    assert_eq!((request.owner.as_str(), request.actor), ("alice", alice("web_1")));
    assert_eq!(request.members, ["bob"]);
    let settings = request.settings.unwrap();
    assert_eq!((settings.name(), settings.description(), settings.members_max()), ("gn", "d", 5));
    assert_eq!((settings.public, settings.approval_needed), (Some(true), Some(true)));

    let mut for_bob = body.clone();
    for_bob["owner"] = json!("bob");
    for_bob["groupid"] = json!("12345678");
    stack.data("POST", "/chatgroups", APP_TOKEN, for_bob).await;
    let Asked::Create(request) = stack.last() else { panic!("not a creation") };
    assert_eq!((request.owner.as_str(), request.id.as_str(), request.actor), ("bob", "12345678", None));
}

#[tokio::test]
async fn a_creation_is_refused_before_the_router_hears_of_it() {
    let stack = Stack::new();
    let good = json!({"owner": "alice", "groupname": "gn", "public": true});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let many: Vec<String> = (0..101).map(|n| format!("u{n}")).collect();
    for (token, body, status, word) in [
        (ALICE_TOKEN, with("owner", json!("bob")), 401, "unauthorized"),
        (ALICE_TOKEN, with("groupid", json!("12345678")), 401, "unauthorized"),
        (APP_TOKEN, with("owner", json!(null)), 400, "invalid_parameter"),
        (APP_TOKEN, with("groupname", json!(null)), 400, "invalid_parameter"),
        (APP_TOKEN, with("public", json!(null)), 400, "invalid_parameter"),
        (APP_TOKEN, with("public", json!("yes")), 400, "illegal_argument"),
        (APP_TOKEN, with("members", json!("bob")), 400, "illegal_argument"),
        (APP_TOKEN, with("members", json!(many)), 400, "illegal_argument"),
        (APP_TOKEN, json!([]), 400, "invalid_request_body"),
        ("nobody's", good.clone(), 401, "unauthorized"),
    ] {
        let (got, answer) = stack.call("POST", "/chatgroups", token, body).await;
        assert_eq!((got, answer["error"].as_str()), (status, Some(word)), "{answer}");
    }
    let (status, answer) =
        stack.call("POST", "/chatrooms", ALICE_TOKEN, json!({"owner": "alice", "name": "r"})).await;
    assert_eq!((status, answer["error"].as_str()), (403, Some("forbidden_op")));
    assert!(stack.asked_nothing());
}

#[tokio::test]
async fn only_the_app_reads_of_others_and_lists_all_groups() {
    let stack = Stack::new();
    for path in [
        "/chatgroups",
        "/users/bob/joined_chatgroups",
        "/chatgroups/user/bob",
        "/chatgroups/user/bob/joined_count",
        "/users/bob/joined_chatrooms",
        "/chatgroups/7/user/bob/is_joined",
    ] {
        let (status, _) = stack.call("GET", path, ALICE_TOKEN, Value::Null).await;
        assert_eq!(status, 401, "{path}");
        assert!(stack.asked_nothing(), "{path}");
    }
    for (method, path) in
        [("POST", "/chatgroups/7/apply"), ("DELETE", "/chatgroups/7/quit"), ("DELETE", "/chatrooms/7/quit")]
    {
        let (status, _) = stack.call(method, path, APP_TOKEN, Value::Null).await;
        assert_eq!(status, 401, "an app is nobody: {path}");
    }
    assert_eq!(stack.data("GET", "/chatgroups/7/user/bob/is_joined", APP_TOKEN, Value::Null).await, false);
    assert_eq!(stack.data("GET", "/chatgroups/7/user/alice/is_joined", ALICE_TOKEN, Value::Null).await, true);
}

#[tokio::test]
async fn lists_have_the_fields_that_sdks_read() {
    let stack = Stack::new();
    let get = async |path: &str| {
        let (status, answer) = stack.call("GET", path, ALICE_TOKEN, Value::Null).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    };
    let joined = get("/users/alice/joined_chatgroups").await;
    assert_eq!(joined["data"], json!([{"groupid": "7", "groupname": "name"}]));
    let newer = get("/users/alice/joined_chatgroups?pagenum=1&pagesize=20&version=v3").await;
    assert_eq!(newer["data"], json!([{"id": "7", "name": "name", "disabled": false, "permission": "owner"}]));
    let detailed = get("/chatgroups/user/alice?pagenum=1&pagesize=20&needRole=true").await;
    let entity = &detailed["entities"][0];
    assert_eq!((&entity["groupId"], &entity["permission"]), (&json!("7"), &json!("owner")));
    assert_eq!(get("/chatgroups/user/alice/joined_count").await["data"], 5);
    let public = get("/publicchatgroups?limit=20&cursor=undefined").await;
    assert_eq!((&public["data"][0]["groupid"], &public["cursor"]), (&json!("7"), &json!("7")));
    let Asked::OfApp(request) = stack.last() else { panic!("not a list") };
    assert!(request.public_only && request.cursor.is_empty());
    let rooms = get("/users/alice/joined_chatrooms?pagenum=1&pagesize=20&detail=true").await;
    assert_eq!(rooms["data"][0]["owner"], "demo#chat_alice");
    let rooms = get("/chatrooms?pagenum=2&pagesize=20").await;
    assert_eq!((&rooms["data"][0]["affiliations_count"], &rooms["count"]), (&json!(2), &json!(1)));
    let Asked::OfApp(request) = stack.last() else { panic!("not a list") };
    assert_eq!((request.kind(), request.page, request.limit), (QueueKind::Room, 2, 20));
    let all = stack.data("GET", "/chatgroups?limit=3", APP_TOKEN, Value::Null).await;
    assert_eq!((&all[0]["owner"], &all[0]["lastModified"]), (&json!("demo#chat_alice"), &json!("2")));
}

#[tokio::test]
async fn details_leave_out_what_is_not_there_and_are_404_when_nothing_is() {
    let stack = Stack::new();
    let data = stack.data("GET", "/chatgroups/7,nowhere?joined_time=true", ALICE_TOKEN, Value::Null).await;
    assert_eq!(data.as_array().unwrap().len(), 1);
    assert_eq!((&data[0]["id"], &data[0]["affiliations_count"]), (&json!("7"), &json!(2)));
    assert_eq!(
        data[0]["affiliations"],
        json!([{"owner": "alice", "joined_time": 9}, {"member": "bob", "joined_time": 9}])
    );
    let (status, answer) = stack.call("GET", "/chatgroups/nowhere", ALICE_TOKEN, Value::Null).await;
    assert_eq!((status, answer["error_description"].as_str()), (404, Some("do not find this group")));
    let ids = vec!["7"; 101].join(",");
    assert_eq!(stack.call("GET", &format!("/chatrooms/{ids}"), ALICE_TOKEN, Value::Null).await.0, 400);
}

#[tokio::test]
async fn a_change_confirms_every_field_that_was_sent() {
    let stack = Stack::new();
    let body = json!({"name": "new", "maxusers": 10, "membersonly": true});
    let data = stack.data("PUT", "/chatgroups/7?resource=web_1", ALICE_TOKEN, body).await;
    assert_eq!(data, json!({"name": true, "groupname": true, "maxusers": true, "membersonly": true}));
    let Asked::Update(request) = stack.last() else { panic!("not a change") };
    assert_eq!(request.actor, alice("web_1"));
    let data = stack.data("PUT", "/chatgroups/7", APP_TOKEN, json!({"newowner": "Bob"})).await;
    assert_eq!(data, json!({"newowner": true}));
    let Asked::Owner(request) = stack.last() else { panic!("not a hand-over") };
    assert_eq!((request.owner.as_str(), request.actor), ("bob", None));
    for wrong in [json!({}), json!({"newowner": 1}), json!({"maxusers": "x"})] {
        assert_eq!(stack.call("PUT", "/chatrooms/7", APP_TOKEN, wrong).await.0, 400);
    }
    let data = stack.data("DELETE", "/chatgroups/7", APP_TOKEN, Value::Null).await;
    assert_eq!(data, json!({"success": true, "groupid": "7"}));
    let data = stack.data("DELETE", "/chatrooms/7?version=v3", APP_TOKEN, Value::Null).await;
    assert_eq!(data, json!({"success": true, "id": "7"}));
}

#[tokio::test]
async fn members_are_added_and_removed_in_the_name_of_whoever_asks() {
    let stack = Stack::new();
    let data = stack.data("POST", "/chatgroups/7/users/Carol", ALICE_TOKEN, Value::Null).await;
    assert_eq!(data, json!({"result": true, "groupid": "7", "action": "add_member", "user": "carol"}));
    let Asked::Add(request) = stack.last() else { panic!("not an addition") };
    assert_eq!((request.users, request.actor), (vec!["carol".to_owned()], alice("")));
    let (status, answer) = stack.call("POST", "/chatgroups/7/users/bob", APP_TOKEN, Value::Null).await;
    assert_eq!((status, answer["error"].as_str()), (403, Some("forbidden_op")));
    assert_eq!(answer["error_description"], "as it was");

    let both = json!({"usernames": ["bob", "carol"]});
    let data = stack.data("POST", "/chatrooms/7/users", APP_TOKEN, both.clone()).await;
    assert_eq!(data, json!({"newmembers": ["carol"], "id": "7", "action": "add_member"}));
    let data = stack.data("POST", "/chatgroups/7/invite", ALICE_TOKEN, both).await;
    assert_eq!((&data[0]["result"], &data[1]["result"]), (&json!(false), &json!(true)));
    let many: Vec<String> = (0..61).map(|n| format!("u{n}")).collect();
    for wrong in [json!({}), json!({"usernames": []}), json!({ "usernames": many })] {
        assert_eq!(stack.call("POST", "/chatgroups/7/users", APP_TOKEN, wrong).await.0, 400);
    }

    let data = stack.data("DELETE", "/chatgroups/7/users/bob", ALICE_TOKEN, Value::Null).await;
    assert_eq!((&data["result"], &data["action"]), (&json!(true), &json!("remove_member")));
    let data = stack.data("DELETE", "/chatrooms/7/users/bob%2Ccarol", APP_TOKEN, Value::Null).await;
    assert_eq!((&data[0]["result"], &data[1]["reason"]), (&json!(true), &json!("as it was")));
    assert_eq!(stack.call("DELETE", "/chatgroups/7/users/carol", APP_TOKEN, Value::Null).await.0, 403);
    let names = many.join(",");
    assert_eq!(
        stack.call("DELETE", &format!("/chatgroups/7/users/{names}"), APP_TOKEN, Value::Null).await.0,
        400
    );
}

#[tokio::test]
async fn a_user_joins_and_leaves_as_itself() {
    let stack = Stack::new();
    stack.data("POST", "/chatrooms/7/users/alice?resource=web_1", ALICE_TOKEN, Value::Null).await;
    let Asked::Join(request) = stack.last() else { panic!("not a join") };
    assert_eq!((request.user.as_str(), request.device.as_str()), ("alice", "web_1"));
    stack.data("POST", "/chatrooms/7/users/carol", ALICE_TOKEN, Value::Null).await;
    assert!(matches!(stack.last(), Asked::Add(request) if request.actor == alice("")));
    let data = stack.data("POST", "/chatgroups/7/apply", ALICE_TOKEN, json!({"message": "m"})).await;
    assert_eq!((&data["result"], &data["user"]), (&json!(true), &json!("alice")));
    stack.data("DELETE", "/chatgroups/7/quit?resource=web_1", ALICE_TOKEN, Value::Null).await;
    assert!(matches!(stack.last(), Asked::Leave(request) if request.user == "alice"));
    let (status, answer) = stack.call("POST", "/chatgroups/full/apply", ALICE_TOKEN, json!({})).await;
    assert_eq!(status, 403);
    assert!(answer["error_description"].as_str().unwrap().contains("member list is full"), "{answer}");
}

#[tokio::test]
async fn members_are_listed_in_three_forms() {
    let stack = Stack::new();
    let get = async |path: &str| stack.call("GET", path, ALICE_TOKEN, Value::Null).await.1;
    let numbered = get("/chatgroups/7/users?pagenum=1&pagesize=2").await;
    assert_eq!(numbered["data"], json!([{"owner": "alice"}, {"member": "bob"}]));
    assert_eq!((&numbered["count"], &numbered["params"]["pagenum"]), (&json!(2), &json!(["1"])));
    assert_eq!(numbered.get("cursor"), None);
    let with_cursor = get("/chatrooms/7/users?cursor=&limit=20&joined_time=true").await;
    assert_eq!(with_cursor["data"][1], json!({"member": "bob", "joined_time": 9}));
    assert_eq!(with_cursor["cursor"], "bob");
    let newer = get("/chatgroups/7/users?version=v3&limit=20").await;
    assert_eq!(newer["data"], json!(["bob"]));
    let newer_but_numbered = get("/chatgroups/7/users?version=v3&pagenum=1&pagesize=2").await;
    assert_eq!(newer_but_numbered["data"], numbered["data"]);
    assert_eq!(stack.call("GET", "/chatgroups/7/users?limit=0", ALICE_TOKEN, Value::Null).await.0, 400);
}

#[tokio::test]
async fn the_app_sends_to_groups_and_rooms_and_to_some_of_their_members() {
    let stack = Stack::new();
    let body = json!({"from": "alice", "to": ["7"], "users": ["bob"], "type": "txt", "body": {"msg": "hi"}});
    for (path, kind, only) in [
        ("/messages/chatgroups", QueueKind::Group, vec![]),
        ("/messages/chatgroups/users", QueueKind::Group, vec!["bob".to_owned()]),
        ("/messages/chatrooms", QueueKind::Room, vec![]),
        ("/messages/chatrooms/users", QueueKind::Room, vec!["bob".to_owned()]),
    ] {
        assert_eq!(stack.call("POST", path, ALICE_TOKEN, body.clone()).await.0, 401, "{path}");
        let data = stack.data("POST", path, APP_TOKEN, body.clone()).await;
        assert!(data["7"].is_string(), "{data}");
        let published = stack.fakes.router.published.lock().last().cloned().unwrap();
        assert_eq!(published.to.as_ref().unwrap().kind(), kind, "{path}");
        assert_eq!(published.only_users, only, "{path}");
        assert!(published.administrative);
    }
    let legacy = json!({"target_type": "chatgroups", "target": ["7"], "msg": {"type": "txt", "msg": "hi"}});
    assert_eq!(stack.data("POST", "/messages", APP_TOKEN, legacy).await, json!({"7": "success"}));
}
