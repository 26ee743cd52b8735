use bulkhead_api::AuthApi;
use bulkhead_model::ErrorKind;
use bulkhead_proto::auth::AuthenticateRequest;
use bulkhead_proto::auth::update_app_request::Change as AppChange;

use crate::region::{PASSWORD, START_MS, TestRegion, refused};

fn exchange(region: &TestRegion, username: &str, token: &str) -> AuthenticateRequest {
    AuthenticateRequest {
        app: region.app.uuid.clone(),
        token: token.to_owned(),
        username: username.to_owned(),
    }
}

#[tokio::test]
async fn a_client_with_its_secret_gets_an_app_token() {
    let region = TestRegion::start().await;
    let granted = region.client_grant(&region.app.client_id, &region.client_secret).await.unwrap();
    assert!(granted.access_token.starts_with("YWMt"));
    assert!(granted.user.is_none());
    assert_eq!(region.bearer(&granted.access_token).await.unwrap().expires_ms, granted.expires_ms);
    for (id, secret) in [
        (region.app.client_id.as_str(), "wrong"),
        ("wrong", region.client_secret.as_str()),
        (region.app.client_id.as_str(), ""),
    ] {
        assert_eq!(refused(region.client_grant(id, secret).await), ErrorKind::WrongClientSecret);
    }
}

#[tokio::test]
async fn a_password_gives_a_token_of_its_user() {
    let region = TestRegion::start().await;
    let granted = region.password_grant("Alice", PASSWORD, None).await.unwrap();
    assert_eq!(granted.user.unwrap().username, "alice");
    assert_eq!(region.login("alice", &granted.access_token).await.unwrap().username, "alice");
    assert_eq!(refused(region.password_grant("alice", "wrong", None).await), ErrorKind::WrongPassword);
    assert_eq!(refused(region.password_grant("nobody", PASSWORD, None).await), ErrorKind::UserNotFound);
}

#[tokio::test]
async fn a_user_without_a_password_cannot_log_in_by_password() {
    let region = TestRegion::start().await;
    region.register(vec![crate::region::new_user("bob")]).await.unwrap();
    for password in ["", "wrong"] {
        assert!(region.password_grant("bob", password, None).await.is_err());
    }
}

#[tokio::test]
async fn a_token_lives_as_long_as_was_asked_for() {
    let region = TestRegion::start().await;
    let region_ref = &region;
    let ends =
        |ttl_s| async move { region_ref.password_grant("alice", PASSWORD, ttl_s).await.unwrap().expires_ms };
    assert_eq!(ends(None).await, START_MS + 60 * 24 * 60 * 60 * 1000);
    assert_eq!(ends(Some(0)).await, 0);
    assert_eq!(ends(Some(10)).await, START_MS + 10_000);
    assert_eq!(ends(Some(u64::MAX)).await, START_MS + ((1 << 31) - 1) * 1000);
    let short = region.password_grant("alice", PASSWORD, Some(10)).await.unwrap().access_token;
    let endless = region.password_grant("alice", PASSWORD, Some(0)).await.unwrap().access_token;
    assert!(region.bearer(&short).await.is_ok());
    region.clock.advance_ms(10_001);
    assert_eq!(refused(region.bearer(&short).await), ErrorKind::TokenExpired);
    region.clock.advance_ms(100 * 24 * 60 * 60 * 1000);
    assert_eq!(region.bearer(&endless).await.unwrap().expires_ms, 0);
}

#[tokio::test]
async fn an_app_may_ask_for_a_users_token_and_make_the_user() {
    let region = TestRegion::start().await;
    assert_eq!(refused(region.inherit_grant("carol", false).await), ErrorKind::UserNotFound);
    let granted = region.inherit_grant("Carol", true).await.unwrap();
    assert_eq!(granted.user.unwrap().username, "carol");
    assert!(region.login("carol", &granted.access_token).await.is_ok());
    assert!(region.inherit_grant("carol", false).await.is_ok());
    assert_eq!(refused(region.inherit_grant("not legal", true).await), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn an_access_token_is_exchanged_for_its_privilege_and_its_remaining_life() {
    let region = TestRegion::start().await;
    let token = region.user_token(&region.app.certificate_primary, "alice", 600);
    let expires_ms = region.bearer(&token).await.unwrap().expires_ms;
    let granted = region.auth.exchange_token(exchange(&region, "", &token)).await.unwrap();
    assert!(granted.access_token.starts_with("YWMt"));
    assert_eq!(granted.expires_ms, expires_ms);
    assert_eq!(granted.user.unwrap().username, "alice");
    assert_eq!(region.bearer(&granted.access_token).await.unwrap().username, "alice");
    let granted = region.auth.exchange_token(exchange(&region, "", &region.app_token())).await.unwrap();
    assert!(granted.user.is_none());
    assert_eq!(region.bearer(&granted.access_token).await.unwrap().username, "");
}

#[tokio::test]
async fn no_certificate_mode_gives_no_token_for_a_name() {
    let region = TestRegion::start().await;
    region.change_app(AppChange::NoCertificate(true)).await.unwrap();
    for token in ["", "nonsense"] {
        assert!(region.auth.exchange_token(exchange(&region, "alice", token)).await.is_err());
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once() {
    let region = TestRegion::start().await;
    let token = region.password_grant("alice", PASSWORD, None).await.unwrap().access_token;
    let other = region.password_grant("alice", PASSWORD, None).await.unwrap().access_token;
    assert!(region.bearer(&token).await.is_ok());
    region.revoke(&token).await.unwrap();
    assert_eq!(refused(region.bearer(&token).await), ErrorKind::Unauthenticated);
    assert!(region.bearer(&other).await.is_ok());
}

#[tokio::test]
async fn a_token_of_one_app_is_nothing_to_another() {
    let region = TestRegion::start().await;
    let other =
        region.auth.create_app(crate::region::create("demo", "other", "")).await.unwrap().app.unwrap();
    crate::region::register(&region.auth, &other.uuid, "alice", PASSWORD).await;
    let opaque = region.password_grant("alice", PASSWORD, None).await.unwrap().access_token;
    for token in [opaque, region.app_token()] {
        let request = AuthenticateRequest { app: other.uuid.clone(), token, username: String::new() };
        assert_eq!(refused(region.auth.authenticate(request).await), ErrorKind::Unauthenticated);
    }
}

#[tokio::test]
async fn no_answer_holds_a_hash_of_a_secret() {
    let region = TestRegion::start().await;
    assert!(region.alice.password_hash.is_empty());
    assert!(region.auth.find_user(region.user("alice")).await.unwrap().password_hash.is_empty());
    let granted = region.password_grant("alice", PASSWORD, None).await.unwrap();
    assert!(granted.user.unwrap().password_hash.is_empty());
}
