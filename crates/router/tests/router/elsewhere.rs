//! Users with sessions at several routers: how many devices they may have, and how long they stay in rooms.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_api::RouterApi;
use bulkhead_bus::SlotSet;
use bulkhead_model::limits::DEVICES_PER_PLATFORM_MAX;
use bulkhead_model::{AppUuid, Channel, ErrorKind};
use bulkhead_proto::router::{
    CloseSessionRequest, JoinRequest, KickReason, OpenSessionRequest, PublishRequest, SlotsRequest,
    gateway_event::Event,
};
use bulkhead_router::{RouterService, RouterSettings};
use bulkhead_store::{Mutation, Put, RowKey, Scope, Store, tables};
use bytes::Bytes;

use crate::bed::{Bed, Events, attach, number};
use crate::rooms::room;
use crate::routers::two;
use crate::switches::Writes;

/// Longer than a busy machine holds a router up: one that loses its lease forgets its sessions.
const LEASE_MS: u64 = 1000;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const MINUTE_MS: u64 = 60_000;

/// With so little grace that a test sees the end of it.
fn settings() -> RouterSettings {
    RouterSettings { lease_ms: LEASE_MS, room_grace_ms: 1000, ..RouterSettings::default() }
}

/// Opens a session later than all before it, and waits until the others can see it.
async fn open(bed: &Bed, router: &Arc<RouterService>, user: &str, device: &str) {
    bed.clock.advance_ms(1);
    let before = bed.between().registry.puts();
    router.open_session(bed.login(user, device)).await.unwrap();
    until(|| bed.between().registry.puts() > before).await;
}

async fn close(bed: &Bed, router: &Arc<RouterService>, user: &str, device: &str) {
    let session = Some(bed.session(user, device));
    router.close_session(CloseSessionRequest { session, lost: false }).await.unwrap();
}

async fn until(condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("in time");
}

async fn expect_kick(events: &Events, device: &str, by: &str) {
    let kick = tokio::time::timeout(PATIENCE, events.kick()).await.expect("a kick");
    assert_eq!((kick.user.as_str(), kick.device.as_str(), kick.session), ("bob", device, number(device)));
    assert_eq!((kick.reason(), kick.detail), (KickReason::AnotherDevice, format!("from {by}")));
}

/// Joins at whichever router owns the room.
async fn join(bed: &Bed, routers: &[&Arc<RouterService>], id: &str, user: &str) {
    let request =
        JoinRequest { app: bed.app.clone(), channel: room(id), user: user.into(), ..JoinRequest::default() };
    for router in routers {
        match router.join(request.clone()).await {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotOwner),
        }
    }
    panic!("nobody owns the room");
}

async fn until_members(bed: &Bed, id: &str, members: u32) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while bed.room_members(id).await != members {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("members leave");
}

/// Waits until a router sees so many routers, and all slots owned, some by each.
async fn until_routers(router: &Arc<RouterService>, count: usize) {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let map = router.slots(SlotsRequest {}).await.unwrap_or_default();
            let owns = |router: usize| map.owners.iter().any(|owner| *owner as usize == router);
            let is_owned = map.owners.iter().all(|owner| (*owner as usize) < count);
            if map.routers.len() == count && is_owned && (0..count).all(owns) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.expect("the routers are known");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_device_of_the_platform_gives_way_wherever_it_is() {
    let bed = Bed::start_beside(settings()).await;
    let (second, events) = two(&bed).await;
    let routers = [&bed.router, &second];
    for device in 0..DEVICES_PER_PLATFORM_MAX {
        open(&bed, routers[device % 2], "bob", &format!("web_{device}")).await;
    }
    open(&bed, &second, "bob", "ios_1").await;
    bed.until_registered("bob", DEVICES_PER_PLATFORM_MAX + 1).await;

    open(&bed, &bed.router, "bob", "web_4").await;
    expect_kick(&bed.events, "web_0", "web_4").await;
    bed.until_registered("bob", DEVICES_PER_PLATFORM_MAX + 1).await;
    open(&bed, &bed.router, "bob", "web_5").await;
    expect_kick(&events, "web_1", "web_5").await;
    bed.until_registered("bob", DEVICES_PER_PLATFORM_MAX + 1).await;
    open(&bed, &second, "bob", "web_6").await;
    expect_kick(&bed.events, "web_2", "web_6").await;
    bed.until_registered("bob", DEVICES_PER_PLATFORM_MAX + 1).await;
    let mut left = Vec::new();
    for router in routers {
        left.extend(router.devices(bed.user("bob")).await.unwrap().devices);
    }
    left.sort_by(|one, other| one.device.cmp(&other.device));
    let left: Vec<_> = left.into_iter().map(|device| device.device).collect();
    assert_eq!(left, ["ios_1", "web_3", "web_4", "web_5", "web_6"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_does_not_answer_holds_no_login_up_and_is_caught_up_with() {
    let bed = Bed::start_beside(settings()).await;
    let (second, events) = two(&bed).await;
    bed.between().registry.set_answers(false);
    second.open_session(bed.login("bob", "web_0")).await.unwrap();
    for device in 1..=DEVICES_PER_PLATFORM_MAX {
        bed.clock.advance_ms(1);
        bed.open("bob", &format!("web_{device}")).await;
    }
    assert_eq!(bed.registered("bob").await, 0);
    bed.between().registry.set_answers(true);
    let kick = tokio::time::timeout(PATIENCE, events.kick()).await.expect("a kick");
    assert_eq!((kick.device.as_str(), kick.reason()), ("web_0", KickReason::AnotherDevice));
    bed.until_registered("bob", DEVICES_PER_PLATFORM_MAX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_stay_as_long_as_their_sessions() {
    let bed = Bed::start_beside(settings()).await;
    let registry = &bed.between().registry;
    for user in ["bob", "carol"] {
        open(&bed, &bed.router, user, "web_1").await;
    }
    for _ in 0..3 {
        // Two of them together are longer than an entry lives.
        let before = registry.puts();
        bed.clock.advance_ms(35 * MINUTE_MS);
        until(|| registry.puts() >= before + 2).await;
        assert_eq!((bed.registered("bob").await, bed.registered("carol").await), (1, 1));
    }
    registry.forget();
    bed.between().gap(&SlotSet::all());
    bed.until_registered("bob", 1).await;
    bed.until_registered("carol", 1).await;
    bed.close("bob", "web_1").await;
    bed.until_registered("bob", 0).await;
    // What could not be removed is removed later.
    registry.set_answers(false);
    let before = registry.refused();
    bed.close("carol", "web_1").await;
    until(|| registry.refused() > before).await;
    registry.set_answers(true);
    bed.until_registered("carol", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_leaves_a_room_with_the_last_session_at_any_router() {
    let bed = Bed::start_beside(settings()).await;
    let (second, _events) = two(&bed).await;
    let id = bed.make_room().await;
    open(&bed, &bed.router, "bob", "web_1").await;
    open(&bed, &second, "bob", "web_2").await;
    open(&bed, &bed.router, "carol", "web_1").await;
    for user in ["bob", "carol"] {
        join(&bed, &[&bed.router, &second], &id, user).await;
    }
    close(&bed, &bed.router, "bob", "web_1").await;
    close(&bed, &bed.router, "carol", "web_1").await;
    // Decided after bob, who has a session elsewhere.
    until_members(&bed, &id, 2).await;
    bed.send(PublishRequest { from_device: "web_2".into(), ..bed.to_room("bob", &id) }).await;
    close(&bed, &second, "bob", "web_2").await;
    until_members(&bed, &id, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_sessions_end_at_two_routers_at_once_leaves() {
    let bed = Bed::start_beside(settings()).await;
    let (second, _events) = two(&bed).await;
    let id = bed.make_room().await;
    for _ in 0..10 {
        open(&bed, &bed.router, "bob", "web_1").await;
        open(&bed, &second, "bob", "web_2").await;
        join(&bed, &[&bed.router, &second], &id, "bob").await;
        tokio::join!(close(&bed, &bed.router, "bob", "web_1"), close(&bed, &second, "bob", "web_2"));
        until_members(&bed, &id, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_a_router_that_crashed_leave_unless_they_come_back() {
    let bed = Bed::start_beside(settings()).await;
    let (second, second_store) = bed.another_router().await;
    until_routers(&bed.router, 2).await;
    attach(&second, "gateway").await;
    let id = bed.make_room().await;
    open(&bed, &bed.router, "alice", "web_1").await;
    for user in ["bob", "carol"] {
        open(&bed, &second, user, "web_1").await;
        join(&bed, &[&bed.router, &second], &id, user).await;
    }
    assert_eq!(bed.room_members(&id).await, 3);
    second_store.set(Writes::Refuse);
    until_routers(&bed.router, 1).await;
    bed.router.open_session(OpenSessionRequest { session: 9, ..bed.login("carol", "web_1") }).await.unwrap();
    until_members(&bed, &id, 2).await;
    bed.send(bed.to_room("carol", &id)).await;
    assert_eq!(bed.refusal(bed.to_room("bob", &id)).await, ErrorKind::NotMember);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_owner_of_a_room_finds_out_who_is_absent() {
    let bed = Bed::start_beside(settings()).await;
    let (second, second_store) = bed.another_router().await;
    let (third, _) = bed.another_router().await;
    for router in [&bed.router, &second, &third] {
        until_routers(router, 3).await;
    }
    for router in [&second, &third] {
        attach(router, "gateway").await;
    }
    let routers = [&bed.router, &second, &third];
    let id = bed.make_room_at(&second).await;
    for (router, user) in [(&bed.router, "alice"), (&second, "bob"), (&third, "carol"), (&bed.router, "dave")]
    {
        open(&bed, router, user, "web_1").await;
        if user != "alice" {
            join(&bed, &routers, &id, user).await;
        }
    }
    second_store.set(Writes::Refuse);
    until_routers(&bed.router, 2).await;
    until_routers(&third, 2).await;
    // Whoever owns it now learns of the room.
    let mut sent = false;
    while !sent {
        for router in [&bed.router, &third] {
            sent |= router.publish(bed.to_room("alice", &id)).wait().await.is_ok();
        }
    }
    until_members(&bed, &id, 3).await;
    // Longer than it takes to look again.
    let looked = tokio::time::Instant::now() + Duration::from_millis(settings().room_grace_ms * 2);
    while tokio::time::Instant::now() < looked {
        assert_eq!(bed.room_members(&id).await, 3, "who has a session anywhere stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_user_joined_or_left_unheard_is_read_again_after_a_gap() {
    let bed = Bed::start_beside(settings()).await;
    let (second, events) = two(&bed).await;
    let group = bed.make_group("alice", &["bob"]).await;
    second.open_session(bed.login("bob", "web_1")).await.unwrap();
    let known = async || {
        let next = async {
            loop {
                if let Event::Memberships(all) = events.next().await {
                    return all.channels.into_iter().map(|channel| channel.name).collect::<Vec<_>>();
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("the gateway is told")
    };
    assert_eq!(known().await, std::slice::from_ref(&group));

    // As if the frames had been lost: one membership gone, another one there.
    let app = AppUuid::from_slice(&bed.app).unwrap();
    let row = |name: &str| RowKey {
        table: &tables::MEMBERSHIPS,
        scope: Scope::App(app),
        partition: Bytes::from_static(b"bob"),
        clustering: Channel::Group(name.into()).key().into_bytes().into(),
    };
    let put = Put { key: row("other"), value: Bytes::new(), expires_in_ms: None };
    bed.store.write(vec![Mutation::Delete(row(&group)), Mutation::Put(put)]).await.unwrap();
    bed.between().gap(&SlotSet::all());
    assert_eq!(known().await, ["other"]);
    let then =
        tokio::time::timeout(PATIENCE, events.next()).await.expect("sessions look for what they missed");
    assert!(matches!(then, Event::Recount(recount) if recount.user == "bob"));
}
