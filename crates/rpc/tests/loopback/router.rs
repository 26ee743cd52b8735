use std::sync::Arc;

use crate::support::{Note, NotingRouter, NotingSink, REGION, Serving};
use bulkhead_api::RouterApi;
use bulkhead_model::ErrorKind;
use bulkhead_proto::router::{
    AttachRequest, ConfirmRequest, Delivery, GatewayEvent, HistoryRequest, PresenceRequest, PublishRequest,
    Published, QueuePosition, UserRequest, gateway_event::Event,
};
use bulkhead_rpc::limits::{BATCH_ENTRIES_MAX, GATEWAY_WAITING_BYTES_MAX, PENDING_PUBLISHES_MAX};
use bulkhead_rpc::{REGION_HEADER, RpcServer};

fn publish(client_id: u64) -> PublishRequest {
    PublishRequest { client_id, payload: vec![1; 100].into(), ..Default::default() }
}

fn delivery(id: u64, bytes: usize) -> GatewayEvent {
    let delivery = Delivery { id, meta: vec![0; bytes].into(), ..Default::default() };
    GatewayEvent { event: Some(Event::Delivery(delivery)) }
}

#[tokio::test]
async fn unary_calls_reach_the_router_and_its_answers_and_errors_come_back() {
    let router = Arc::new(NotingRouter::default());
    let (serving, client) = router.serve().await;
    let users = vec!["bob".to_owned(), "alice".to_owned()];
    let presence = client.presence(PresenceRequest { users, ..Default::default() }).await.unwrap();
    assert_eq!(presence.online, [false, true]);
    assert_eq!(client.offline_count(UserRequest::default()).await.unwrap().messages, 7);
    client.forget_user(UserRequest::default()).await.unwrap();
    let refused = client.history(HistoryRequest::default()).await.unwrap_err();
    assert_eq!(refused, ErrorKind::NotMember.into());
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_keep_the_order_of_their_calls_and_each_gets_its_own_answer() {
    let router = Arc::new(NotingRouter { answers_at_once: true, ..NotingRouter::default() });
    let (serving, client) = router.serve().await;
    const COUNT: u64 = 5000;
    let pending: Vec<_> = (1..=COUNT).map(|client_id| client.publish(publish(client_id))).collect();
    for (index, pending) in pending.into_iter().enumerate() {
        assert_eq!(pending.wait().await.unwrap().id, index as u64 + 1);
    }
    assert_eq!(*router.published.lock(), (1..=COUNT).collect::<Vec<_>>());
    serving.stop().await;
}

#[tokio::test]
async fn confirmations_that_come_together_are_each_answered_for_itself() {
    let router = Arc::new(NotingRouter::default());
    let (serving, client) = router.serve().await;
    // More than one call holds.
    let confirmations = (0..2 * BATCH_ENTRIES_MAX).map(|number| {
        let is_refused = number % 3 == 0;
        let positions = if is_refused { vec![] } else { vec![QueuePosition::default()] };
        let confirmed = client.confirm(ConfirmRequest { positions, ..ConfirmRequest::default() });
        async move { (is_refused, confirmed.await) }
    });
    for (is_refused, outcome) in futures_util::future::join_all(confirmations).await {
        let expected = if is_refused { Err(ErrorKind::NotOwner.with("no positions")) } else { Ok(()) };
        assert_eq!(outcome, expected);
    }
    serving.stop().await;
    let late = client.confirm(ConfirmRequest::default()).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_refused_publish_comes_back_with_its_kind_and_words() {
    let (router, mut noted) = NotingRouter::noting();
    let router = Arc::new(router);
    let (serving, client) = router.serve().await;
    let (first, second) = (client.publish(publish(1)), client.publish(publish(2)));
    assert_eq!(noted.recv().await, Some(Note::Published(1)));
    assert_eq!(noted.recv().await, Some(Note::Published(2)));
    let mut answers = std::mem::take(&mut *router.waiting.lock()).into_iter();
    let (answer_first, answer_second) = (answers.next().unwrap(), answers.next().unwrap());
    // Answered in the other order: the tag leads each to its caller.
    answer_second.send(Err(ErrorKind::Blocked.with("blocked by bob"))).unwrap();
    assert_eq!(second.wait().await, Err(ErrorKind::Blocked.with("blocked by bob")));
    answer_first.send(Ok(Published { id: 9, ..Default::default() })).unwrap();
    assert_eq!(first.wait().await.unwrap().id, 9);
    serving.stop().await;
}

#[tokio::test]
async fn a_client_with_too_many_unanswered_publishes_is_refused_until_some_are_answered() {
    let (router, mut noted) = NotingRouter::noting();
    let router = Arc::new(router);
    let (serving, client) = router.serve().await;
    let mut pending = Vec::new();
    for client_id in 0..PENDING_PUBLISHES_MAX as u64 {
        pending.push(client.publish(publish(client_id)));
    }
    let refused = client.publish(publish(1_000_000)).wait().await;
    assert_eq!(refused, Err(ErrorKind::RateLimited.into()));

    assert_eq!(noted.recv().await, Some(Note::Published(0)));
    router.waiting.lock().remove(0).send(Ok(Published::default())).unwrap();
    pending.remove(0).wait().await.unwrap();
    let last = client.publish(publish(2_000_000));
    while noted.recv().await != Some(Note::Published(2_000_000)) {}
    router.waiting.lock().pop().unwrap().send(Ok(Published { id: 5, ..Default::default() })).unwrap();
    assert_eq!(last.wait().await.unwrap().id, 5);
    serving.stop().await;
}

#[tokio::test]
async fn a_broken_stream_fails_what_is_unanswered_and_the_next_publish_opens_another() {
    let (router, mut noted) = NotingRouter::noting();
    let router = Arc::new(router);
    let (serving, client) = router.serve().await;
    let unanswered = client.publish(publish(1));
    assert_eq!(noted.recv().await, Some(Note::Published(1)));
    let address = serving.address;
    serving.stop().await;
    assert_eq!(unanswered.wait().await, Err(ErrorKind::Unavailable.into()));
    assert_eq!(client.publish(publish(2)).wait().await, Err(ErrorKind::Unavailable.into()));

    let again = Arc::new(NotingRouter { answers_at_once: true, ..NotingRouter::default() });
    let api: Arc<dyn RouterApi> = again.clone();
    let serving = Serving::start_on(address, |stop| RpcServer::router(REGION, api, stop)).await;
    assert_eq!(client.publish(publish(3)).wait().await.unwrap().id, 3);
    serving.stop().await;
}

#[tokio::test]
async fn answers_that_are_ready_when_the_server_stops_still_reach_their_callers() {
    let (router, mut noted) = NotingRouter::noting();
    let router = Arc::new(router);
    let (serving, client) = router.serve().await;
    let pending: Vec<_> = (1..=100).map(|client_id| client.publish(publish(client_id))).collect();
    for client_id in 1..=100 {
        assert_eq!(noted.recv().await, Some(Note::Published(client_id)));
    }
    for (id, answer) in (1..).zip(router.waiting.lock().drain(..)) {
        answer.send(Ok(Published { id, ..Default::default() })).unwrap();
    }
    serving.stop().await;
    for (id, pending) in (1..).zip(pending) {
        assert_eq!(pending.wait().await.unwrap().id, id);
    }
}

#[tokio::test]
async fn events_reach_the_gateway_in_order_and_the_end_of_the_router_is_told() {
    let router = Arc::new(NotingRouter::default());
    let (serving, client) = router.serve().await;
    let (sink, mut events) = NotingSink::new();
    client.attach("gateway-1", sink).await.unwrap();
    let router_side = router.sinks.lock()[0].clone();
    for first in (0..3000u64).step_by(3) {
        router_side.deliver((first..first + 3).map(|id| delivery(id, 20)).collect());
    }
    for id in 0..3000 {
        assert_eq!(events.recv().await.unwrap(), Some(delivery(id, 20)));
    }
    serving.stop().await;
    assert_eq!(events.recv().await.unwrap(), None);
}

#[tokio::test]
async fn a_gateway_that_goes_is_forgotten_and_one_that_comes_again_starts_anew() {
    let (router, mut noted) = NotingRouter::noting();
    let router = Arc::new(router);
    let (serving, client) = router.serve().await;
    let name = || "gateway-1".to_owned();
    let (sink, _events) = NotingSink::new();
    client.attach("gateway-1", sink).await.unwrap();
    assert_eq!(noted.recv().await, Some(Note::Attached(name())));

    let (sink, mut second_events) = NotingSink::new();
    client.attach("gateway-1", sink).await.unwrap();
    assert_eq!(noted.recv().await, Some(Note::Detached(name())));
    assert_eq!(noted.recv().await, Some(Note::Attached(name())));
    router.sinks.lock()[1].deliver(vec![delivery(1, 1)]);
    assert_eq!(second_events.recv().await.unwrap(), Some(delivery(1, 1)));

    client.detach("gateway-1").await.unwrap();
    assert_eq!(noted.recv().await, Some(Note::Detached(name())));

    let (sink, _events) = NotingSink::new();
    client.attach("gateway-2", sink).await.unwrap();
    assert_eq!(noted.recv().await, Some(Note::Attached("gateway-2".to_owned())));
    drop(client);
    assert_eq!(noted.recv().await, Some(Note::Detached("gateway-2".to_owned())));
    serving.stop().await;
}

#[tokio::test]
async fn a_gateway_that_does_not_take_its_events_is_detached_when_too_much_waits() {
    let (router, mut noted) = NotingRouter::noting();
    let router = Arc::new(router);
    let (serving, _client) = router.serve().await;
    let mut raw = serving.raw_router();
    let mut request = tonic::Request::new(AttachRequest { gateway: "slow".to_owned() });
    request.metadata_mut().insert(REGION_HEADER, REGION.name().parse().unwrap());
    let never_read = raw.attach(request).await.unwrap();
    assert_eq!(noted.recv().await, Some(Note::Attached("slow".to_owned())));
    let sink = router.sinks.lock()[0].clone();
    const BYTES: usize = 1024 * 1024;
    for id in 0..GATEWAY_WAITING_BYTES_MAX / BYTES + 16 {
        sink.deliver(vec![delivery(id as u64, BYTES)]);
    }
    assert_eq!(noted.recv().await, Some(Note::Detached("slow".to_owned())));
    drop(never_read);
    serving.stop().await;
}
