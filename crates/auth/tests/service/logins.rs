use bulkhead_api::AuthApi;
use bulkhead_model::ErrorKind;
use bulkhead_proto::auth::update_app_request::Change as AppChange;
use bulkhead_proto::auth::update_user_request::Change as UserChange;
use bulkhead_proto::auth::{Done, SwapCertificates};
use bulkhead_token::build_chat_user_token;

use crate::region::{PASSWORD, TestRegion, refused};

#[tokio::test]
async fn an_access_token_opens_a_socket_for_its_user_only() {
    let region = TestRegion::start().await;
    region.register(vec![crate::region::new_user("bob")]).await.unwrap();
    let token = region.user_token(&region.app.certificate_primary, "alice", 600);
    let identity = region.login("Alice", &token).await.unwrap();
    assert_eq!(identity.username, "alice");
    assert_eq!(identity.user_uuid, region.alice.uuid);
    assert!(!identity.without_certificate);
    assert!(identity.expires_ms >= (u64::from(region.now_s()) + 600) * 1000);
    assert_eq!(refused(region.login("bob", &token).await), ErrorKind::Unauthenticated);
    assert_eq!(region.bearer(&token).await.unwrap().username, "alice");
}

#[tokio::test]
async fn an_access_token_may_name_the_registration_uuid() {
    let region = TestRegion::start().await;
    let uuid = region.alice_uuid();
    let token = region.user_token(&region.app.certificate_primary, &uuid, 600);
    assert_eq!(region.login("alice", &token).await.unwrap().username, "alice");
    assert_eq!(region.login(&uuid, &token).await.unwrap().username, "alice");
}

#[tokio::test]
async fn an_access_token_ends_with_its_life_also_when_its_verdict_is_remembered() {
    let region = TestRegion::start().await;
    let token = region.user_token(&region.app.certificate_primary, "alice", 600);
    region.clock.advance_ms(599_000);
    assert!(region.bearer(&token).await.is_ok());
    region.clock.advance_ms(2_000);
    assert_eq!(refused(region.bearer(&token).await), ErrorKind::TokenExpired);
    let fresh = build_chat_user_token(
        &region.app.app_id,
        &region.app.certificate_primary,
        "alice",
        region.now_s() - 700,
        600,
        2,
    );
    assert_eq!(refused(region.bearer(&fresh.unwrap()).await), ErrorKind::TokenExpired);
}

#[tokio::test]
async fn both_certificates_verify_until_one_is_taken_away() {
    let region = TestRegion::start().await;
    let old = region.app.certificate_primary.clone();
    let app = region.change_app(AppChange::MakeSecondaryCertificate(Done {})).await.unwrap();
    let with_old = region.user_token(&old, "alice", 600);
    let with_new = region.user_token(&app.certificate_secondary, "alice", 600);
    assert!(region.bearer(&with_old).await.is_ok());
    assert!(region.bearer(&with_new).await.is_ok());
    let app = region.change_app(AppChange::SwapCertificates(SwapCertificates::default())).await.unwrap();
    assert_eq!(app.certificate_secondary, old);
    assert!(region.bearer(&with_old).await.is_ok());
    region.change_app(AppChange::DeleteSecondaryCertificate(Done {})).await.unwrap();
    assert_eq!(refused(region.bearer(&with_old).await), ErrorKind::Unauthenticated);
    assert!(region.bearer(&with_new).await.is_ok());
}

#[tokio::test]
async fn a_token_of_another_app_says_where_that_app_lives_if_it_is_elsewhere() {
    let region = TestRegion::start().await;
    let certificate = &region.app.certificate_primary;
    let of =
        |app_id: &str| build_chat_user_token(app_id, certificate, "alice", region.now_s(), 600, 1).unwrap();
    let error = region.bearer(&of(&format!("71{}", "0".repeat(30)))).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::WrongRegion, "frankfurt"));
    for here_or_nowhere in [format!("61{}", "0".repeat(30)), "0".repeat(32)] {
        assert_eq!(refused(region.bearer(&of(&here_or_nowhere)).await), ErrorKind::Unauthenticated);
    }
}

#[tokio::test]
async fn an_app_token_administers_and_opens_no_socket() {
    let region = TestRegion::start().await;
    let opaque =
        region.client_grant(&region.app.client_id, &region.client_secret).await.unwrap().access_token;
    for token in [region.app_token(), opaque] {
        assert_eq!(region.bearer(&token).await.unwrap().username, "");
        assert_eq!(refused(region.login("alice", &token).await), ErrorKind::Unauthenticated);
    }
}

#[tokio::test]
async fn nothing_lets_in_without_a_certificate_unless_the_app_says_so() {
    let region = TestRegion::start().await;
    for token in ["", "nonsense", "007nonsense", "YWMtnonsense"] {
        assert_eq!(refused(region.login("alice", token).await), ErrorKind::Unauthenticated);
    }
    region.change_app(AppChange::NoCertificate(true)).await.unwrap();
    for token in ["", "nonsense", "007nonsense", "YWMtnonsense"] {
        let identity = region.login("alice", token).await.unwrap();
        assert!(identity.without_certificate);
        assert_eq!(identity.username, "alice");
        assert_eq!(refused(region.bearer(token).await), ErrorKind::Unauthenticated);
    }
    assert_eq!(refused(region.login("nobody", "").await), ErrorKind::UserNotFound);
    let token = region.user_token(&region.app.certificate_primary, "alice", 600);
    assert!(!region.login("alice", &token).await.unwrap().without_certificate);
    region.change_user("alice", UserChange::Activated(false)).await.unwrap();
    assert_eq!(refused(region.login("alice", "").await), ErrorKind::UserNotActivated);
    region.change_app(AppChange::NoCertificate(false)).await.unwrap();
    region.change_user("alice", UserChange::Activated(true)).await.unwrap();
    assert_eq!(refused(region.login("alice", "").await), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_deactivated_or_deleted_user_is_refused_at_once() {
    let region = TestRegion::start().await;
    let signed = region.user_token(&region.app.certificate_primary, "alice", 600);
    let opaque = region.password_grant("alice", PASSWORD, None).await.unwrap().access_token;
    let both = [signed, opaque];
    for token in &both {
        assert!(region.bearer(token).await.is_ok());
    }
    region.change_user("alice", UserChange::Activated(false)).await.unwrap();
    for token in &both {
        assert_eq!(refused(region.bearer(token).await), ErrorKind::UserNotActivated);
    }
    assert_eq!(refused(region.password_grant("alice", PASSWORD, None).await), ErrorKind::UserNotActivated);
    region.change_user("alice", UserChange::Activated(true)).await.unwrap();
    assert!(region.bearer(&both[0]).await.is_ok());
    region.auth.delete_user(region.user("alice")).await.unwrap();
    for token in &both {
        assert_eq!(refused(region.bearer(token).await), ErrorKind::UserNotFound);
    }
}

#[tokio::test]
async fn a_token_of_a_deleted_user_is_not_one_of_a_later_user_of_that_name() {
    let region = TestRegion::start().await;
    let opaque = region.password_grant("alice", PASSWORD, None).await.unwrap().access_token;
    region.clock.advance_ms(1_000);
    region.auth.delete_user(region.user("alice")).await.unwrap();
    region.clock.advance_ms(1_000);
    crate::region::register(&region.auth, &region.app.uuid, "alice", "another").await;
    assert!(region.bearer(&opaque).await.is_err());
}

#[tokio::test]
async fn a_password_change_and_a_revocation_end_what_was_issued_before_and_nothing_after() {
    let region = TestRegion::start().await;
    for by_password in [true, false] {
        let opaque = region.inherit_grant("alice", false).await.unwrap().access_token;
        let signed = region.user_token(&region.app.certificate_primary, "alice", 600);
        assert!(region.bearer(&opaque).await.is_ok());
        assert!(region.bearer(&signed).await.is_ok());
        region.clock.advance_ms(2_000);
        let of_this_second = region.user_token(&region.app.certificate_primary, "alice", 600);
        if by_password {
            region.change_user("alice", UserChange::Password("another".into())).await.unwrap();
        } else {
            region.auth.revoke_user_tokens(region.user("Alice")).await.unwrap();
        }
        for token in [&opaque, &signed, &of_this_second] {
            let kind = refused(region.bearer(token).await);
            assert!(matches!(kind, ErrorKind::Unauthenticated | ErrorKind::TokenExpired), "{kind:?}");
        }
        let after = region.inherit_grant("alice", false).await.unwrap().access_token;
        assert!(region.bearer(&after).await.is_ok());
        region.clock.advance_ms(1_000);
        let next_second = region.user_token(&region.app.certificate_primary, "alice", 600);
        assert!(region.bearer(&next_second).await.is_ok());
    }
}

#[tokio::test]
async fn a_cut_divides_the_tokens_of_one_millisecond() {
    let region = TestRegion::start().await;
    let before = region.inherit_grant("alice", false).await.unwrap().access_token;
    region.auth.revoke_user_tokens(region.user("alice")).await.unwrap();
    let after = region.inherit_grant("alice", false).await.unwrap().access_token;
    assert!(region.bearer(&before).await.is_err());
    assert!(region.bearer(&after).await.is_ok());
}

#[tokio::test]
async fn a_user_cannot_take_over_tokens_by_registering_under_another_users_uuid() {
    let region = TestRegion::start().await;
    let uuid = region.alice_uuid();
    region.register(vec![crate::region::new_user(&uuid)]).await.unwrap();
    let token = region.user_token(&region.app.certificate_primary, &uuid, 600);
    assert_eq!(region.bearer(&token).await.unwrap().username, "alice");
}

#[tokio::test]
async fn no_refusal_repeats_the_token_or_the_password() {
    let region = TestRegion::start().await;
    let canary = "canary0123456789";
    for token in [format!("007{canary}"), format!("YWMt{canary}"), canary.to_owned()] {
        let error = region.login("alice", &token).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(canary));
    }
    let long = canary.repeat(8);
    for password in [canary, &long] {
        let error = region.password_grant("alice", password, None).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(canary));
    }
    let error = region.change_user("alice", UserChange::Password(long.clone())).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(canary));
    let error = region.client_grant(&region.app.client_id, canary).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(canary));
}
