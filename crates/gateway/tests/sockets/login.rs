use bulkhead_proto::auth::RevokeTokenRequest;
use bulkhead_proto::router::UserRequest;

use bulkhead_api::{AuthApi, RouterApi};

use crate::client::{Client, Down};
use crate::region::{Region, START_MS};

#[tokio::test]
async fn a_user_logs_in_and_is_known_to_the_router_until_the_socket_closes() {
    let region = Region::start().await;
    let mut alice = Client::connect(region.address).await;
    let answer = alice.provision("Alice", "webim_1", &region.token("alice").await).await;
    assert_eq!(answer.status.clone().unwrap().error_code, Some(0));
    assert_eq!(answer.auth_token(), format!(r#"{{"expires_in":{}}}"#, START_MS + 3_600_000));

    let devices = || async {
        let request = UserRequest { app: region.app.clone(), user: "alice".into() };
        region.router.devices(request).await.unwrap().devices
    };
    let known = devices().await;
    assert_eq!((known[0].device.as_str(), known[0].platform.as_str()), ("webim_1", "web"));
    alice.socket.close(None).await.unwrap();
    while !devices().await.is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn refused_logins_are_told_why_and_closed() {
    let region = Region::start().await;
    let revoked = region.token("alice").await;
    let request =
        RevokeTokenRequest { app: region.app.clone(), token: revoked.clone(), ..Default::default() };
    region.auth.revoke_token(request).await.unwrap();
    let (bobs, app_token) = (region.token("bob").await, region.app_token.clone());
    for token in ["nonsense", "", &revoked, &bobs, &app_token] {
        let mut client = Client::connect(region.address).await;
        let status = client.provision("alice", "webim_1", token).await.status.unwrap();
        assert_eq!(status.error_code, Some(1), "{token}");
        assert_eq!(status.reason(), "Sorry, token or password does not match login info");
        assert!(matches!(client.next().await, Down::Closed(1000)));
    }
}

#[tokio::test]
async fn a_device_that_names_itself_not_at_all_is_given_a_name() {
    let region = Region::start().await;
    let mut client = Client::connect(region.address).await;
    let answer = client.provision("alice", "", &region.token("alice").await).await;
    assert!(answer.resource().starts_with("device_"));
}

#[tokio::test]
async fn one_device_more_than_the_limit_sends_off_the_oldest() {
    let region = Region::start().await;
    let mut devices = Vec::new();
    for number in 0..5 {
        devices.push(region.client("alice", &format!("webim_{number}")).await);
    }
    let kick = devices[0].next_sync().await;
    assert_eq!(kick.metas[0].ns(), bulkhead_msync::proto::meta::NameSpace::Statistic);
    assert!(matches!(devices[0].next().await, Down::Closed(1000)));
    devices[1].round_trip().await;
}

#[tokio::test]
async fn an_app_of_another_region_is_told_where_to_connect_whether_its_name_is_known_here_or_not() {
    let frankfurt = "https://frankfurt.example".to_owned();
    let region = Region::with(|settings| {
        settings.homes.insert(bulkhead_model::Region::Frankfurt, frankfurt.clone());
    })
    .await;
    let app_id = format!("71{}", "0".repeat(30));
    let certificate = "c".repeat(32);
    let issued_s = u32::try_from(START_MS / 1000).unwrap();
    let token =
        bulkhead_token::build_chat_user_token(&app_id, &certificate, "alice", issued_s, 600, 1).unwrap();
    for app_key in ["demo#chat", "demo#elsewhere"] {
        let mut client = Client::connect(region.address).await;
        let status = client.provision_in(app_key, "alice", "webim_1", &token).await.status.unwrap();
        assert_ne!(status.error_code, Some(0), "{app_key}");
        assert!(status.reason().contains("connect to https://frankfurt.example"), "{}", status.reason());
        assert!(matches!(client.next().await, Down::Closed(1000)));
    }
}
