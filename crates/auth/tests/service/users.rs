use bulkhead_api::AuthApi;
use bulkhead_model::ErrorKind;
use bulkhead_proto::auth::registration::Outcome;
use bulkhead_proto::auth::update_user_request::Change;
use bulkhead_proto::auth::{ListUsersRequest, NewUser};

use crate::region::{PASSWORD, START_MS, TestRegion, new_user, refused};

/// The kind of each failure; empty for a success.
fn kinds(outcomes: &[bulkhead_proto::auth::Registration]) -> Vec<&str> {
    outcomes
        .iter()
        .map(|one| match one.outcome.as_ref().unwrap() {
            Outcome::User(_) => "",
            Outcome::Failure(failure) => failure.kind.as_str(),
        })
        .collect()
}

#[tokio::test]
async fn each_user_of_a_batch_has_an_outcome_of_its_own() {
    let region = TestRegion::start().await;
    let outcomes = region
        .register(vec![
            new_user("Bob"),
            new_user("bob"),
            new_user("alice"),
            new_user("not legal"),
            new_user(&"a".repeat(65)),
            NewUser { password: "p".repeat(65), ..new_user("carol") },
            NewUser { nickname: Some("n".repeat(101)), ..new_user("dave") },
            NewUser { password: "p".repeat(64), nickname: Some("n".repeat(100)), ..new_user("erin") },
        ])
        .await
        .unwrap();
    let (taken, wrong) = ("UserExists", "InvalidArgument");
    assert_eq!(kinds(&outcomes), ["", taken, taken, wrong, wrong, wrong, wrong, ""]);
    let Some(Outcome::Failure(failure)) = &outcomes[1].outcome else { panic!("bob registered twice") };
    assert_eq!(failure.message, "user already exists");
    let bob = region.auth.find_user(region.user("BOB")).await.unwrap();
    assert_eq!((bob.username.as_str(), bob.nickname.as_deref(), bob.activated), ("bob", None, true));
    assert_eq!((bob.created_ms, bob.modified_ms), (START_MS, START_MS));
}

#[tokio::test]
async fn a_batch_has_1_to_60_users() {
    let region = TestRegion::start().await;
    let batch = |count: usize| (0..count).map(|n| new_user(&format!("user{n}"))).collect::<Vec<_>>();
    assert_eq!(refused(region.register(batch(0)).await), ErrorKind::InvalidArgument);
    assert_eq!(refused(region.register(batch(61)).await), ErrorKind::InvalidArgument);
    assert!(kinds(&region.register(batch(60)).await.unwrap()).iter().all(|kind| kind.is_empty()));
}

#[tokio::test]
async fn a_user_is_found_by_name_in_any_case_and_by_uuid() {
    let region = TestRegion::start().await;
    for name in ["alice", "ALICE", &region.alice_uuid(), &region.alice_uuid().to_ascii_uppercase()] {
        assert_eq!(region.auth.find_user(region.user(name)).await.unwrap().uuid, region.alice.uuid);
    }
    for name in ["", "nobody", "00000000-0000-4000-8000-000000000000", "not legal", &"a".repeat(2000)] {
        assert_eq!(refused(region.auth.find_user(region.user(name)).await), ErrorKind::UserNotFound);
    }
}

#[tokio::test]
async fn users_are_listed_page_by_page_in_the_order_of_registration() {
    let region = TestRegion::start().await;
    for name in ["zoe", "bob", "mia"] {
        region.clock.advance_ms(1);
        region.register(vec![new_user(name)]).await.unwrap();
    }
    let list = |cursor: String, limit| {
        let request = ListUsersRequest { app: region.app.uuid.clone(), cursor, limit };
        async { region.auth.list_users(request).await }
    };
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = list(cursor, 2).await.unwrap();
        assert_eq!(page.users.len(), 2);
        seen.extend(page.users.into_iter().map(|user| user.username));
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["alice", "zoe", "bob", "mia"]);
    assert_eq!(refused(list("nonsense".into(), 2).await), ErrorKind::InvalidArgument);
    assert_eq!(refused(list(String::new(), 0).await), ErrorKind::InvalidArgument);
    assert_eq!(refused(list(String::new(), 101).await), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn every_attribute_changes_alone() {
    let region = TestRegion::start().await;
    region.clock.advance_ms(5);
    let user = region.change_user("Alice", Change::Nickname("Al".into())).await.unwrap();
    assert_eq!((user.nickname.as_deref(), user.modified_ms), (Some("Al"), START_MS + 5));
    let user = region.change_user("alice", Change::NotificationDisplayStyle(1)).await.unwrap();
    assert_eq!((user.nickname.as_deref(), user.notification_display_style), (Some("Al"), Some(1)));
    let too_long = region.change_user("alice", Change::Nickname("n".repeat(101))).await;
    assert_eq!(refused(too_long), ErrorKind::InvalidArgument);
    assert_eq!(refused(region.change_user("nobody", Change::Activated(true)).await), ErrorKind::UserNotFound);
    assert!(region.change_user("alice", Change::Password("p".repeat(65))).await.is_err());
    region.change_user("alice", Change::Password("another".into())).await.unwrap();
    assert_eq!(refused(region.password_grant("alice", PASSWORD, None).await), ErrorKind::WrongPassword);
    assert!(region.password_grant("alice", "another", None).await.is_ok());
}

#[tokio::test]
async fn a_deleted_user_is_gone_from_every_list_and_its_name_is_free() {
    let region = TestRegion::start().await;
    region.register(vec![new_user("bob")]).await.unwrap();
    let gone = region.auth.delete_user(region.user("alice")).await.unwrap();
    assert_eq!(gone.uuid, region.alice.uuid);
    for name in ["alice", &region.alice_uuid()] {
        assert_eq!(refused(region.auth.find_user(region.user(name)).await), ErrorKind::UserNotFound);
    }
    assert_eq!(refused(region.auth.delete_user(region.user("alice")).await), ErrorKind::UserNotFound);
    let request = ListUsersRequest { app: region.app.uuid.clone(), cursor: String::new(), limit: 100 };
    let left: Vec<_> = region.auth.list_users(request).await.unwrap().users;
    assert_eq!(left.into_iter().map(|user| user.username).collect::<Vec<_>>(), ["bob"]);
    assert_eq!(kinds(&region.register(vec![new_user("alice")]).await.unwrap()), [""]);
}
