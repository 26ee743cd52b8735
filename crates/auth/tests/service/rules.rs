use bulkhead_model::ErrorKind;
use bulkhead_proto::auth::update_app_request::Change;
use bulkhead_proto::auth::{AuthenticateRequest, Done, SwapCertificates};

use bulkhead_api::AuthApi;

use crate::region::{PASSWORD, TestRegion, refused};

#[tokio::test]
async fn a_token_may_live_as_long_as_the_app_says_and_a_day_when_it_says_nothing() {
    let region = TestRegion::start().await;
    let now_s = region.now_s();
    let with_life = |life_s| region.token_of(now_s, life_s, life_s);
    assert!(region.bearer(&with_life(86_400)).await.is_ok());
    assert_eq!(refused(region.bearer(&with_life(86_401)).await), ErrorKind::Unauthenticated);
    region.change_app(Change::TokenLifeMaxS(3_600)).await.unwrap();
    assert!(region.login("alice", &with_life(3_600)).await.is_ok());
    for token in [with_life(3_601), with_life(86_400)] {
        assert_eq!(refused(region.bearer(&token).await), ErrorKind::Unauthenticated);
        assert_eq!(refused(region.login("alice", &token).await), ErrorKind::Unauthenticated);
    }
    region.change_app(Change::TokenLifeMaxS(0)).await.unwrap();
    assert!(region.bearer(&with_life(86_400)).await.is_ok());
}

#[tokio::test]
async fn an_issuers_clock_may_be_ahead_by_as_much_as_the_app_says() {
    let region = TestRegion::start().await;
    let now_s = region.now_s();
    let ahead = |skew_s| region.token_of(now_s + skew_s, 600, skew_s + 1);
    assert!(region.bearer(&ahead(5)).await.is_ok());
    assert_eq!(refused(region.bearer(&ahead(6)).await), ErrorKind::Unauthenticated);
    for skew_s in [0, 300] {
        region.change_app(Change::TokenSkewS(skew_s)).await.unwrap();
        assert!(region.bearer(&ahead(skew_s)).await.is_ok());
        assert_eq!(refused(region.bearer(&ahead(skew_s + 1)).await), ErrorKind::Unauthenticated);
    }
    region.clock.advance_ms(1_000);
    assert!(region.bearer(&ahead(301)).await.is_ok(), "what was too early becomes valid");
}

#[tokio::test]
async fn a_rule_outside_its_bounds_is_refused_and_changes_nothing() {
    let region = TestRegion::start().await;
    for change in [
        Change::TokenLifeMaxS(59),
        Change::TokenLifeMaxS(86_401),
        Change::TokenSkewS(301),
        Change::DisableSecondaryInS(0),
    ] {
        assert_eq!(refused(region.change_app(change).await), ErrorKind::InvalidArgument);
    }
    region.change_app(Change::MakeSecondaryCertificate(Done {})).await.unwrap();
    let too_long = SwapCertificates { overlap_s: Some(30 * 86_400 + 1) };
    assert_eq!(
        refused(region.change_app(Change::SwapCertificates(too_long)).await),
        ErrorKind::InvalidArgument
    );
    for bound in [Change::TokenLifeMaxS(60), Change::TokenLifeMaxS(86_400)] {
        region.change_app(bound).await.unwrap();
    }
}

#[tokio::test]
async fn a_user_holds_many_tokens_unless_the_app_says_one() {
    let region = TestRegion::start().await;
    let first = region.token_of(region.now_s(), 600, 1);
    let same_second = region.token_of(region.now_s(), 600, 2);
    region.clock.advance_ms(1_000);
    let second = region.token_of(region.now_s(), 600, 3);
    for token in [&second, &first] {
        assert!(region.bearer(token).await.is_ok());
    }
    region.change_app(Change::SingleToken(true)).await.unwrap();
    for token in [&first, &same_second] {
        assert!(region.login("alice", token).await.is_ok(), "of one second none is the older one");
    }
    assert!(region.bearer(&second).await.is_ok(), "shown after the older ones");
    for token in [&first, &same_second] {
        assert_eq!(refused(region.bearer(token).await), ErrorKind::TokenExpired);
        assert_eq!(refused(region.login("alice", token).await), ErrorKind::TokenExpired);
    }
    assert!(region.bearer(&second).await.is_ok());
    region.change_app(Change::SingleToken(false)).await.unwrap();
    assert!(region.bearer(&first).await.is_ok());
}

#[tokio::test]
async fn a_token_that_is_given_out_ends_the_older_ones_where_a_user_holds_one() {
    let region = TestRegion::start().await;
    region.change_app(Change::SingleToken(true)).await.unwrap();
    let signed = region.token_of(region.now_s(), 600, 1);
    assert!(region.bearer(&signed).await.is_ok());
    let of_this_second = region.password_grant("alice", PASSWORD, None).await.unwrap().access_token;
    assert!(region.bearer(&signed).await.is_ok());
    region.clock.advance_ms(1_000);
    let newer = region.password_grant("alice", PASSWORD, None).await.unwrap().access_token;
    for token in [&signed, &of_this_second] {
        assert_eq!(refused(region.bearer(token).await), ErrorKind::TokenExpired);
    }
    assert!(region.bearer(&newer).await.is_ok());
    assert_eq!(
        region.bearer(&region.app_token()).await.unwrap().username,
        "",
        "an app holds as many as it likes"
    );
}

#[tokio::test]
async fn a_token_that_was_exchanged_is_as_old_as_the_one_it_was_given_for() {
    let region = TestRegion::start().await;
    region.change_app(Change::SingleToken(true)).await.unwrap();
    let signed = region.token_of(region.now_s(), 600, 1);
    region.clock.advance_ms(1_000);
    let request = AuthenticateRequest { app: region.app.uuid.clone(), token: signed, ..Default::default() };
    let exchanged = region.auth.exchange_token(request).await.unwrap().access_token;
    assert!(region.bearer(&exchanged).await.is_ok());
    let newer = region.token_of(region.now_s(), 600, 2);
    assert!(region.bearer(&newer).await.is_ok());
    assert_eq!(refused(region.bearer(&exchanged).await), ErrorKind::TokenExpired);
}

#[tokio::test]
async fn the_old_certificate_is_accepted_for_the_overlap_and_not_a_millisecond_longer() {
    let region = TestRegion::start().await;
    region.change_app(Change::MakeSecondaryCertificate(Done {})).await.unwrap();
    let swap = SwapCertificates { overlap_s: Some(60) };
    let app = region.change_app(Change::SwapCertificates(swap)).await.unwrap();
    assert_eq!(app.secondary_until_ms, crate::region::START_MS + 60_000);
    let old = region.user_token(&app.certificate_secondary, "alice", 600);
    let new = region.user_token(&app.certificate_primary, "alice", 600);
    region.clock.advance_ms(59_999);
    assert!(region.bearer(&old).await.is_ok());
    region.clock.advance_ms(1);
    assert_eq!(refused(region.bearer(&old).await), ErrorKind::Unauthenticated);
    assert!(region.bearer(&new).await.is_ok());
    let back = region.change_app(Change::SwapCertificates(SwapCertificates::default())).await;
    assert_eq!(
        refused(back),
        ErrorKind::InvalidArgument,
        "a disabled certificate does not become the primary"
    );
    region.change_app(Change::DeleteSecondaryCertificate(Done {})).await.unwrap();
    let app = region.change_app(Change::MakeSecondaryCertificate(Done {})).await.unwrap();
    assert_eq!(app.secondary_until_ms, 0, "a new certificate has no end");
}

#[tokio::test]
async fn an_overlap_is_a_day_unless_it_is_said_and_can_be_cut_short() {
    let region = TestRegion::start().await;
    region.change_app(Change::MakeSecondaryCertificate(Done {})).await.unwrap();
    let app = region.change_app(Change::SwapCertificates(SwapCertificates::default())).await.unwrap();
    assert_eq!(app.secondary_until_ms, crate::region::START_MS + 86_400_000);
    let old = region.user_token(&app.certificate_secondary, "alice", 600);
    assert!(region.bearer(&old).await.is_ok());
    region.change_app(Change::DisableSecondaryInS(10)).await.unwrap();
    assert!(region.bearer(&old).await.is_ok());
    region.change_app(Change::DisableSecondaryInS(0)).await.unwrap();
    assert_eq!(refused(region.bearer(&old).await), ErrorKind::Unauthenticated);
}
