use std::time::Duration;

use bulkhead_api::AuthApi;
use bulkhead_auth::AuthService;
use bulkhead_model::ErrorKind;
use bulkhead_proto::auth::GrantStanding::{Deactivated, Ended, PasswordChanged, Removed, Stands};
use bulkhead_proto::auth::update_app_request::Change as AppChange;
use bulkhead_proto::auth::update_user_request::Change as UserChange;
use bulkhead_proto::auth::{
    ChangedList, ChangesRequest, CheckGrantsRequest, Done, HeldGrant, SwapCertificates,
};

use crate::region::{PASSWORD, START_MS, TestRegion, refused, register};

#[tokio::test]
async fn a_session_stands_until_its_own_token_is_revoked() {
    let region = TestRegion::start().await;
    let signed = [1, 2].map(|salt| region.token_of(region.now_s(), 600, salt));
    let opaque = region.password_grant("alice", PASSWORD, None).await.unwrap().access_token;
    let tokens = [&signed[0], &signed[1], &opaque];
    let mut held = Vec::new();
    for token in tokens {
        held.push(region.login("alice", token).await.unwrap());
    }
    let held: Vec<_> = held.iter().collect();
    assert_eq!(region.standings(&held).await, [Stands, Stands, Stands]);
    region.revoke(&signed[0]).await.unwrap();
    assert_eq!(region.standings(&held).await, [Ended, Stands, Stands]);
    region.revoke(&opaque).await.unwrap();
    assert_eq!(region.standings(&held).await, [Ended, Stands, Ended]);
    region.auth.revoke_user_tokens(region.user("alice")).await.unwrap();
    assert_eq!(region.standings(&held).await, [Ended, Ended, Ended]);
}

#[tokio::test]
async fn a_session_is_told_by_what_it_ended() {
    let region = TestRegion::start().await;
    let login = async || region.login("alice", &region.token_of(region.now_s(), 600, 1)).await.unwrap();
    let held = login().await;
    region.change_user("alice", UserChange::Activated(false)).await.unwrap();
    assert_eq!(region.standings(&[&held]).await, [Deactivated]);
    region.change_user("alice", UserChange::Activated(true)).await.unwrap();
    assert_eq!(region.standings(&[&held]).await, [Stands]);
    region.change_user("alice", UserChange::Password("another".into())).await.unwrap();
    assert_eq!(region.standings(&[&held]).await, [PasswordChanged]);
    region.clock.advance_ms(2_000);
    let held = login().await;
    region.auth.delete_user(region.user("alice")).await.unwrap();
    assert_eq!(region.standings(&[&held]).await, [Removed]);
    register(&region.auth, &region.app.uuid, "alice", PASSWORD).await;
    assert_eq!(region.standings(&[&held]).await, [Removed], "the new alice is another user");
}

#[tokio::test]
async fn a_session_ends_with_the_certificate_of_its_token() {
    let region = TestRegion::start().await;
    let app = region.change_app(AppChange::MakeSecondaryCertificate(Done {})).await.unwrap();
    let certificates = [&app.certificate_primary, &app.certificate_secondary];
    let mut held = Vec::new();
    for certificate in certificates {
        held.push(region.login("alice", &region.user_token(certificate, "alice", 600)).await.unwrap());
    }
    let held: Vec<_> = held.iter().collect();
    let swap = SwapCertificates { overlap_s: Some(10) };
    region.change_app(AppChange::SwapCertificates(swap)).await.unwrap();
    assert_eq!(region.standings(&held).await, [Stands, Stands]);
    region.clock.advance_ms(10_000);
    assert_eq!(region.standings(&held).await, [Ended, Stands]);
}

#[tokio::test]
async fn a_session_without_a_certificate_lives_from_that_mode() {
    let region = TestRegion::start().await;
    region.change_app(AppChange::NoCertificate(true)).await.unwrap();
    let without = region.login("alice", "").await.unwrap();
    let with = region.login("alice", &region.token_of(region.now_s(), 600, 1)).await.unwrap();
    region.auth.revoke_user_tokens(region.user("alice")).await.unwrap();
    assert_eq!(region.standings(&[&without, &with]).await, [Stands, Ended], "it has no token to be revoked");
    region.change_app(AppChange::NoCertificate(false)).await.unwrap();
    assert_eq!(region.standings(&[&without]).await, [Ended]);
}

#[tokio::test]
async fn a_newer_token_ends_the_sessions_of_older_ones_where_a_user_holds_one() {
    let region = TestRegion::start().await;
    region.change_app(AppChange::SingleToken(true)).await.unwrap();
    let older = region.login("alice", &region.token_of(region.now_s(), 600, 1)).await.unwrap();
    region.clock.advance_ms(1_000);
    let newer = region.login("alice", &region.token_of(region.now_s(), 600, 2)).await.unwrap();
    assert_eq!(region.standings(&[&older, &newer]).await, [Ended, Stands]);
}

#[tokio::test]
async fn the_check_looks_at_what_is_stored_and_not_at_what_is_remembered() {
    let region = TestRegion::start().await;
    let another = region.another_auth();
    let token = region.token_of(region.now_s(), 600, 1);
    let held = region.bearer_at(&another, &token).await.unwrap();
    region.auth.revoke_user_tokens(region.user("alice")).await.unwrap();
    let grants = vec![HeldGrant { username: held.username, grant: held.grant }];
    let request = CheckGrantsRequest { app: region.app.uuid.clone(), grants, app_only: false };
    let standings = another.check_grants(request.clone()).await.unwrap();
    assert_eq!(standings.standings().collect::<Vec<_>>(), [Ended]);
    let many = CheckGrantsRequest { grants: vec![request.grants[0].clone(); 501], ..request };
    assert_eq!(refused(another.check_grants(many).await), ErrorKind::InvalidArgument);
}

async fn changes(auth: &AuthService, after: &ChangedList, wait_ms: u32) -> ChangedList {
    let ChangedList { instance, sequence, heard_ms, .. } = *after;
    auth.changes(ChangesRequest { instance, sequence, heard_ms, wait_ms }).await.unwrap()
}

#[tokio::test]
async fn whoever_waits_hears_of_each_change_once_and_at_once() {
    let region = TestRegion::start().await;
    let begun = ChangedList { heard_ms: START_MS, ..ChangedList::default() };
    let begun = changes(&region.auth, &begun, 0).await;
    assert!(!begun.missed);
    assert_eq!(changes(&region.auth, &begun, 0).await.changes, []);
    let waiting = changes(&region.auth, &begun, 2_000);
    let changing = region.auth.revoke_user_tokens(region.user("alice"));
    let limit = Duration::from_secs(1);
    let (heard, changed) =
        tokio::time::timeout(limit, async { tokio::join!(waiting, changing) }).await.unwrap();
    changed.unwrap();
    assert_eq!(heard.changes.len(), 1);
    assert_eq!((heard.changes[0].user.as_str(), &heard.changes[0].app), ("alice", &region.app.uuid));
    assert_eq!(changes(&region.auth, &heard, 0).await.changes, []);
}

#[tokio::test]
async fn whoever_asks_another_process_next_misses_nothing() {
    let region = TestRegion::start().await;
    let begun = ChangedList { heard_ms: START_MS, ..ChangedList::default() };
    let begun = changes(&region.auth, &begun, 0).await;
    region.revoke_all(0).await.unwrap();
    region.clock.advance_ms(50_000);
    let another = region.another_auth();
    let told = changes(&another, &begun, 0).await;
    assert!(!told.missed);
    assert!(told.changes.iter().any(|change| change.app == region.app.uuid && change.user.is_empty()));
    region.clock.advance_ms(20_000);
    assert!(changes(&region.another_auth(), &begun, 0).await.missed, "too long ago to be sure");
}

#[tokio::test]
async fn the_end_of_a_certificate_is_told_when_it_comes() {
    let region = TestRegion::start().await;
    let another = region.another_auth();
    region.change_app(AppChange::MakeSecondaryCertificate(Done {})).await.unwrap();
    let swap = SwapCertificates { overlap_s: Some(3_600) };
    region.change_app(AppChange::SwapCertificates(swap)).await.unwrap();
    let mut heard = ChangedList { heard_ms: START_MS, ..ChangedList::default() };
    heard = changes(&another, &heard, 0).await;
    region.clock.advance_ms(3_600_000 + 99);
    heard = changes(&another, &heard, 0).await;
    assert_eq!(heard.changes, []);
    region.clock.advance_ms(201);
    heard = changes(&another, &heard, 0).await;
    assert_eq!(heard.changes.len(), 1);
    assert_eq!(heard.changes[0].app, region.app.uuid);
}
