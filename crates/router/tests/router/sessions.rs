//! Devices: their limit, their kicks, who is present.

use bulkhead_api::RouterApi;
use bulkhead_model::ErrorKind;
use bulkhead_model::limits::DEVICES_PER_PLATFORM_MAX;
use bulkhead_proto::router::{
    DisconnectRequest, KickReason, OnlineDevice, OpenSessionRequest, PresenceRequest, PublishRequest,
};

use crate::bed::{Bed, attach, number};

async fn online(bed: &Bed, user: &str) -> bool {
    let request = PresenceRequest { app: bed.app.clone(), users: vec![user.into(), "nobody".into()] };
    let online = bed.router.presence(request).await.unwrap().online;
    assert!(!online[1]);
    online[0]
}

async fn devices(bed: &Bed, user: &str) -> Vec<String> {
    let list = bed.router.devices(bed.user(user)).await.unwrap().devices;
    list.into_iter().map(|device| device.device).collect()
}

#[tokio::test]
async fn the_oldest_device_of_the_platform_gives_way_to_the_newest() {
    let bed = Bed::start().await;
    bed.open("bob", "ios_1").await;
    for n in 0..DEVICES_PER_PLATFORM_MAX {
        bed.open("bob", &format!("web_{n}")).await;
    }
    bed.open("bob", "web_new").await;
    let kick = bed.events.kick().await;
    assert_eq!((kick.user.as_str(), kick.device.as_str(), kick.session), ("bob", "web_0", number("web_0")));
    assert_eq!((kick.reason(), kick.detail.as_str()), (KickReason::AnotherDevice, "from web_new"));
    assert_eq!(devices(&bed, "bob").await, ["ios_1", "web_1", "web_2", "web_3", "web_new"]);
}

#[tokio::test]
async fn the_same_device_replaces_its_own_session_and_nobody_elses() {
    let bed = Bed::start().await;
    for n in 0..DEVICES_PER_PLATFORM_MAX {
        bed.open("bob", &format!("web_{n}")).await;
    }
    let again = OpenSessionRequest { session: 77, ..bed.login("bob", "web_2") };
    bed.router.open_session(again).await.unwrap();
    let kick = bed.events.kick().await;
    assert_eq!((kick.session, kick.reason()), (number("web_2"), KickReason::Unspecified));
    assert_eq!(devices(&bed, "bob").await.len(), DEVICES_PER_PLATFORM_MAX);
    // The late goodbye of the replaced session takes nothing with it.
    bed.close("bob", "web_2").await;
    assert_eq!(devices(&bed, "bob").await.len(), DEVICES_PER_PLATFORM_MAX);
}

#[tokio::test]
async fn presence_and_devices_follow_sessions() {
    let bed = Bed::start().await;
    assert!(!online(&bed, "bob").await);
    bed.open("bob", "web_1").await;
    assert!(online(&bed, "bob").await);
    let list = bed.router.devices(bed.user("bob")).await.unwrap().devices;
    assert_eq!(
        list,
        [OnlineDevice {
            device: "web_1".into(),
            device_uuid: "web_1 uuid".into(),
            device_name: "web_1 name".into(),
            platform: "web".into(),
        }]
    );
    bed.close("bob", "web_1").await;
    assert!(!online(&bed, "bob").await);
    let many = PresenceRequest { app: bed.app.clone(), users: vec!["a".into(); 101] };
    assert_eq!(bed.router.presence(many).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn a_user_can_be_disconnected_on_one_device_or_on_all() {
    let bed = Bed::start().await;
    for device in ["web_1", "ios_1", "win_1"] {
        bed.open("bob", device).await;
    }
    let disconnect = async |device: &str| {
        let request = DisconnectRequest {
            app: bed.app.clone(),
            user: "bob".into(),
            device: device.into(),
            reason: KickReason::OtherDevice.into(),
        };
        bed.router.disconnect(request).await.unwrap().sessions
    };
    assert_eq!(disconnect("ios_1").await, 1);
    let kick = bed.events.kick().await;
    assert_eq!((kick.device.as_str(), kick.reason()), ("ios_1", KickReason::OtherDevice));
    assert_eq!(disconnect("").await, 2);
    assert_eq!(disconnect("").await, 0);
    assert!(!online(&bed, "bob").await);
}

#[tokio::test]
async fn a_gateway_that_goes_takes_its_sessions_with_it() {
    let bed = Bed::start().await;
    bed.open("bob", "web_1").await;
    let again = attach(&bed.router, "gateway").await;
    assert!(!online(&bed, "bob").await, "a gateway that comes again comes without sessions");
    bed.open("bob", "web_1").await;
    let id = bed.send(bed.text("alice", "bob", "x")).await.id;
    assert_eq!(again.delivery().await.id, id);
    bed.router.detach("gateway").await.unwrap();
    bed.router.detach("gateway").await.unwrap();
    assert!(!online(&bed, "bob").await);
    let refused = bed.router.open_session(bed.login("bob", "web_1")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn nothing_is_kept_of_a_user_who_is_forgotten() {
    let bed = Bed::start().await;
    bed.open("bob", "web_1").await;
    bed.send(bed.text("alice", "bob", "x")).await;
    bed.events.delivery().await;
    let own = PublishRequest { from_device: "web_1".into(), client_id: 1, ..bed.text("bob", "alice", "x") };
    bed.send(own.clone()).await;
    bed.events.delivery().await;
    bed.router.forget_user(bed.user("bob")).await.unwrap();
    assert_eq!(bed.events.kick().await.reason(), KickReason::UserRemoved);
    assert!(!online(&bed, "bob").await);
    assert_eq!(bed.offline_count("bob").await, 0);
    assert!(bed.open("bob", "web_1").await.is_empty());
    assert!(bed.pull_all("bob", "web_1", "alice").await.is_empty());
    assert!(!bed.send(own).await.duplicate, "a new user of that name has used no client id");
    assert_eq!(bed.offline_count("alice").await, 2, "the other side keeps its own");
}

#[tokio::test]
async fn a_session_without_a_device_a_number_or_a_gateway_is_refused() {
    let bed = Bed::start().await;
    let login = bed.login("bob", "web_1");
    for wrong in [
        OpenSessionRequest { device: String::new(), ..login.clone() },
        OpenSessionRequest { session: 0, ..login.clone() },
        OpenSessionRequest { user: "Not legal".into(), ..login.clone() },
        OpenSessionRequest { device_name: "n".repeat(1025), ..login.clone() },
    ] {
        let refused = bed.router.open_session(wrong).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    }
    let elsewhere = OpenSessionRequest { gateway: "unknown".into(), ..login };
    let refused = bed.router.open_session(elsewhere).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
}
