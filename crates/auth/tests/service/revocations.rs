use bulkhead_api::AuthApi;
use bulkhead_model::{Clock, ErrorKind};
use bulkhead_proto::auth::update_app_request::Change as AppChange;
use bulkhead_proto::auth::update_user_request::Change as UserChange;
use bulkhead_proto::auth::{AuthenticateRequest, RevokeTokenRequest};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::region::{PASSWORD, START_MS, TestRegion, refused};

#[tokio::test]
async fn one_token_is_revoked_and_no_other_of_its_user() {
    let region = TestRegion::start().await;
    let signed = [1, 2].map(|salt| region.token_of(region.now_s(), 600, salt));
    let mut opaque = Vec::new();
    for _ in 0..2 {
        opaque.push(region.password_grant("alice", PASSWORD, None).await.unwrap().access_token);
    }
    for token in signed.iter().chain(&opaque) {
        assert!(region.bearer(token).await.is_ok());
    }
    for token in [&signed[0], &opaque[0]] {
        region.revoke(token).await.unwrap();
    }
    assert_eq!(refused(region.bearer(&signed[0]).await), ErrorKind::TokenExpired);
    assert_eq!(refused(region.login("alice", &signed[0]).await), ErrorKind::TokenExpired);
    assert_eq!(refused(region.bearer(&opaque[0]).await), ErrorKind::Unauthenticated);
    for token in [&signed[1], &opaque[1]] {
        assert!(region.bearer(token).await.is_ok());
    }
}

#[tokio::test]
async fn a_token_is_revoked_by_its_hash_also_before_it_was_ever_shown() {
    let region = TestRegion::start().await;
    let never_shown = region.token_of(region.now_s(), 600, 1);
    let opaque = region.password_grant("alice", PASSWORD, None).await.unwrap().access_token;
    for token in [&never_shown, &opaque] {
        let token_sha256 = Bytes::copy_from_slice(&Sha256::digest(token));
        let app = region.app.uuid.clone();
        let request = RevokeTokenRequest { app, token_sha256, ..RevokeTokenRequest::default() };
        region.auth.revoke_token(request).await.unwrap();
        assert!(region.bearer(token).await.is_err());
    }
    let neither = RevokeTokenRequest { app: region.app.uuid.clone(), ..RevokeTokenRequest::default() };
    let too_short = RevokeTokenRequest { token_sha256: Bytes::from_static(b"short"), ..neither.clone() };
    for request in [neither, too_short] {
        assert_eq!(refused(region.auth.revoke_token(request).await), ErrorKind::InvalidArgument);
    }
}

#[tokio::test]
async fn a_revocation_is_remembered_as_long_as_the_token_could_live() {
    let region = TestRegion::start().await;
    region.change_app(AppChange::TokenSkewS(300)).await.unwrap();
    let longest = region.token_of(region.now_s() + 300, 86_400, 1);
    assert!(region.bearer(&longest).await.is_ok());
    region.revoke(&longest).await.unwrap();
    region.clock.advance_ms((86_400 + 300) * 1000);
    assert_eq!(refused(region.bearer(&longest).await), ErrorKind::TokenExpired);
    let another = region.another_auth();
    assert_eq!(refused(region.bearer_at(&another, &longest).await), ErrorKind::TokenExpired);
}

#[tokio::test]
async fn what_a_token_was_exchanged_for_ends_with_it() {
    let region = TestRegion::start().await;
    let signed = region.token_of(region.now_s(), 600, 1);
    let request =
        AuthenticateRequest { app: region.app.uuid.clone(), token: signed.clone(), ..Default::default() };
    let exchanged = region.auth.exchange_token(request).await.unwrap().access_token;
    assert!(region.bearer(&exchanged).await.is_ok());
    region.revoke(&signed).await.unwrap();
    assert_eq!(refused(region.bearer(&exchanged).await), ErrorKind::TokenExpired);
}

#[tokio::test]
async fn what_a_token_was_exchanged_for_ends_with_its_certificate() {
    let region = TestRegion::start().await;
    let app = region.change_app(AppChange::MakeSecondaryCertificate(Default::default())).await.unwrap();
    let token = region.user_token(&app.certificate_secondary, "alice", 600);
    let request = AuthenticateRequest { app: region.app.uuid.clone(), token, ..Default::default() };
    let exchanged = region.auth.exchange_token(request).await.unwrap().access_token;
    assert!(region.bearer(&exchanged).await.is_ok());
    region.change_app(AppChange::DeleteSecondaryCertificate(Default::default())).await.unwrap();
    assert_eq!(refused(region.bearer(&exchanged).await), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_token_of_the_second_of_a_revocation_is_ended_and_one_of_the_next_second_is_not() {
    let region = TestRegion::start().await;
    let seconds = [0, 1].map(|later| region.token_of(region.now_s() + later, 600, 1));
    region.auth.revoke_user_tokens(region.user("alice")).await.unwrap();
    assert_eq!(refused(region.bearer(&seconds[0]).await), ErrorKind::TokenExpired);
    assert!(region.bearer(&seconds[1]).await.is_ok());
    // At the very beginning of a second too.
    region.clock.advance_ms(1_500);
    assert_eq!(region.clock.now_ms() % 1000, 0);
    let of_this_second = region.token_of(region.now_s(), 600, 1);
    region.auth.revoke_user_tokens(region.user("alice")).await.unwrap();
    assert_eq!(refused(region.bearer(&of_this_second).await), ErrorKind::TokenExpired);
}

#[tokio::test]
async fn the_tokens_of_an_app_are_revoked_up_to_an_instant() {
    let region = TestRegion::start().await;
    let before = [region.token_of(region.now_s(), 600, 1), region.app_token()];
    let opaque =
        region.client_grant(&region.app.client_id, &region.client_secret).await.unwrap().access_token;
    region.clock.advance_ms(2_000);
    let after = region.token_of(region.now_s(), 600, 2);
    // In the middle of the second that `after` is of, then at its beginning.
    assert_eq!(refused(region.revoke_all(START_MS + 2_001).await), ErrorKind::InvalidArgument);
    region.revoke_all(START_MS + 1_500).await.unwrap();
    for token in before.iter().chain([&opaque]) {
        assert_eq!(refused(region.bearer(token).await), ErrorKind::TokenExpired);
    }
    assert!(region.bearer(&after).await.is_ok());
    region.revoke_all(START_MS + 1_501).await.unwrap();
    assert_eq!(refused(region.bearer(&after).await), ErrorKind::TokenExpired);
    region.revoke_all(START_MS).await.unwrap();
    assert_eq!(refused(region.bearer(&after).await), ErrorKind::TokenExpired, "a cut never goes back");
}

#[tokio::test]
async fn all_tokens_of_an_app_end_now_and_those_given_out_after_do_not() {
    let region = TestRegion::start().await;
    let signed = region.token_of(region.now_s(), 600, 1);
    let opaque = region.inherit_grant("alice", false).await.unwrap().access_token;
    region.revoke_all(0).await.unwrap();
    for token in [&signed, &opaque] {
        assert_eq!(refused(region.bearer(token).await), ErrorKind::TokenExpired);
    }
    let after = region.inherit_grant("alice", false).await.unwrap().access_token;
    assert!(region.bearer(&after).await.is_ok());
}

#[tokio::test]
async fn another_process_forgets_within_a_fifth_of_a_second_what_it_had_in_memory() {
    let region = TestRegion::start().await;
    let another = region.another_auth();
    let signed = [1, 2, 3, 4].map(|salt| region.token_of(region.now_s(), 600, salt));
    region.clock.advance_ms(2_000);
    for token in &signed {
        assert!(region.bearer_at(&another, token).await.is_ok());
    }
    region.revoke(&signed[0]).await.unwrap();
    region.clock.advance_ms(199);
    assert!(region.bearer_at(&another, &signed[0]).await.is_ok(), "or the test shows nothing");
    region.clock.advance_ms(1);
    assert_eq!(refused(region.bearer_at(&another, &signed[0]).await), ErrorKind::TokenExpired);
    assert!(region.bearer_at(&another, &signed[1]).await.is_ok());

    region.auth.revoke_user_tokens(region.user("alice")).await.unwrap();
    region.clock.advance_ms(200);
    assert_eq!(refused(region.bearer_at(&another, &signed[1]).await), ErrorKind::TokenExpired);

    region.clock.advance_ms(1_000);
    let later = region.token_of(region.now_s(), 600, 5);
    assert!(region.bearer_at(&another, &later).await.is_ok());
    region.clock.advance_ms(1_000);
    region.revoke_all(0).await.unwrap();
    region.clock.advance_ms(200);
    assert_eq!(refused(region.bearer_at(&another, &later).await), ErrorKind::TokenExpired);
}

#[tokio::test]
async fn a_password_that_was_changed_elsewhere_gives_no_token() {
    let region = TestRegion::start().await;
    let another = region.another_auth();
    let grant = async || {
        let (username, password) = ("alice".to_owned(), PASSWORD.to_owned());
        let app = region.app.uuid.clone();
        let request = bulkhead_proto::auth::PasswordGrant { app, username, password, ttl_s: None };
        another.grant_password(request).await
    };
    assert!(grant().await.is_ok());
    region.change_user("alice", UserChange::Password("another".into())).await.unwrap();
    region.clock.advance_ms(200);
    assert_eq!(refused(grant().await), ErrorKind::WrongPassword);
}

#[tokio::test]
async fn a_revocation_holds_after_a_restart() {
    let region = TestRegion::start().await;
    let signed = [1, 2].map(|salt| region.token_of(region.now_s(), 600, salt));
    region.revoke(&signed[0]).await.unwrap();
    let after = region.another_auth();
    assert_eq!(refused(region.bearer_at(&after, &signed[0]).await), ErrorKind::TokenExpired);
    assert!(region.bearer_at(&after, &signed[1]).await.is_ok());
    region.auth.revoke_user_tokens(region.user("alice")).await.unwrap();
    let after = region.another_auth();
    assert_eq!(refused(region.bearer_at(&after, &signed[1]).await), ErrorKind::TokenExpired);
}
