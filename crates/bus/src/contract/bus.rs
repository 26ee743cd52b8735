use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bulkhead_model::{AppUuid, Channel, ErrorKind};
use bytes::Bytes;

use super::BusFixture;
use crate::{Bus, BusEvent, BusReceiver, Frame, Topic, queue};

/// How long a check waits for something that has to come.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(20);

/// Frames and bytes of a receiver that keeps up.
const ROOMY: (usize, usize) = (100_000, 64 * 1024 * 1024);

/// Runs every check, each on a fixture of its own.
pub async fn run_bus<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = BusFixture>,
{
    every_subscriber_gets_a_frame_once(&make().await).await;
    topics_and_apps_are_apart(&make().await).await;
    holders_are_counted(&make().await).await;
    frames_of_a_topic_keep_their_order(&make().await).await;
    many_topics_are_subscribed_at_once(&make().await).await;
    a_holder_is_not_disturbed_by_others_who_come_and_go(&make().await).await;
    a_slow_receiver_gets_a_gap_and_nobody_else_feels_it(&make().await).await;
    payloads_are_bounded(&make().await).await;
}

struct Member {
    bus: Arc<dyn Bus>,
    receiver: BusReceiver,
}

impl Member {
    async fn attach(fixture: &BusFixture) -> Self {
        Self::with_queue(fixture, ROOMY).await
    }

    async fn with_queue(fixture: &BusFixture, (frames_max, bytes_max): (usize, usize)) -> Self {
        let (sink, receiver) = queue(frames_max, bytes_max);
        Self { bus: (fixture.attach)(sink).await, receiver }
    }

    async fn event(&mut self) -> BusEvent {
        let event = tokio::time::timeout(ARRIVAL_LIMIT, self.receiver.recv()).await;
        event.expect("what was published arrives").expect("the bus is alive")
    }

    async fn frame(&mut self) -> Frame {
        match self.event().await {
            BusEvent::Frame(frame) => frame,
            BusEvent::Gap { slots } => panic!("a gap ({slots:?}) although nothing was lost"),
        }
    }

    async fn publish(&self, topic: &Topic, payload: &str) {
        self.bus.publish(vec![frame(topic, payload)]).await.unwrap();
    }

    async fn subscribe(&self, topic: &Topic) {
        self.bus.subscribe(vec![topic.clone()]).await.unwrap();
    }

    async fn unsubscribe(&self, topic: &Topic) {
        self.bus.unsubscribe(vec![topic.clone()]).await.unwrap();
    }
}

fn frame(topic: &Topic, payload: &str) -> Frame {
    Frame { topic: topic.clone(), payload: Bytes::copy_from_slice(payload.as_bytes()) }
}

/// An app that no other check has used: checks may share a server.
fn new_app() -> AppUuid {
    static APPS: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0xAB; 16];
    bytes[8..].copy_from_slice(&APPS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    AppUuid(bytes)
}

fn group(app: AppUuid, id: &str) -> Topic {
    Topic::channel(app, &Channel::Group(id.to_owned()))
}

/// Another topic of the same slot: what one publisher sends to both keeps its order.
fn neighbour(of: &Topic, app: AppUuid) -> Topic {
    (0..).map(|n| Topic::user(app, &format!("neighbour{n}"))).find(|topic| topic.slot() == of.slot()).unwrap()
}

async fn every_subscriber_gets_a_frame_once(fixture: &BusFixture) {
    let app = new_app();
    let topic = Topic::user(app, "alice");
    let end = neighbour(&topic, app);
    let mut members = Vec::new();
    for _ in 0..3 {
        let member = Member::attach(fixture).await;
        member.bus.subscribe(vec![topic.clone(), end.clone()]).await.unwrap();
        members.push(member);
    }
    let binary = Frame { topic: topic.clone(), payload: Bytes::from((0..=255).collect::<Vec<u8>>()) };
    let frames = vec![frame(&topic, "hello"), frame(&topic, ""), binary, frame(&end, "end")];
    members[0].bus.publish(frames.clone()).await.unwrap();
    for member in &mut members {
        for expected in &frames {
            assert_eq!(member.frame().await, *expected, "each frame arrives once, as it was sent");
        }
    }
    members[0].bus.publish(vec![]).await.unwrap();
}

async fn topics_and_apps_are_apart(fixture: &BusFixture) {
    let (app, other_app) = (new_app(), new_app());
    let mut member = Member::attach(fixture).await;
    let publisher = Member::attach(fixture).await;
    for topic in [group(app, "1"), Topic::user(app, "1")] {
        member.subscribe(&topic).await;
        let foreign = [
            neighbour(&topic, app),
            neighbour(&topic, other_app),
            group(other_app, "1"),
            Topic::user(other_app, "1"),
            Topic::channel(app, &Channel::Room("1".to_owned())),
            group(app, "11"),
        ];
        for foreign in &foreign {
            publisher.publish(foreign, "not yours").await;
        }
        publisher.publish(&topic, "yours").await;
        assert_eq!(member.frame().await, frame(&topic, "yours"), "only the topic's own frames arrive");
    }
}

async fn holders_are_counted(fixture: &BusFixture) {
    let app = new_app();
    let topic = Topic::user(app, "alice");
    let end = neighbour(&topic, app);
    let mut member = Member::attach(fixture).await;
    let publisher = Member::attach(fixture).await;
    member.subscribe(&end).await;
    member.bus.subscribe(vec![topic.clone(), topic.clone()]).await.unwrap();
    publisher.publish(&topic, "two holders").await;
    assert_eq!(member.frame().await, frame(&topic, "two holders"), "two holders get one copy");
    member.unsubscribe(&topic).await;
    publisher.publish(&topic, "one holder").await;
    assert_eq!(member.frame().await, frame(&topic, "one holder"), "one of two holders left");
    member.unsubscribe(&topic).await;
    publisher.publish(&topic, "no holder").await;
    publisher.publish(&end, "end").await;
    assert_eq!(member.frame().await, frame(&end, "end"), "without a holder nothing arrives");
    member.unsubscribe(&topic).await;
    member.subscribe(&topic).await;
    publisher.publish(&topic, "again").await;
    assert_eq!(member.frame().await, frame(&topic, "again"), "an unsubscribe too many does not count");
}

async fn frames_of_a_topic_keep_their_order(fixture: &BusFixture) {
    const TOPICS: usize = 20;
    const FRAMES: usize = 4000;
    let app = new_app();
    let topics: Vec<Topic> = (0..TOPICS).map(|n| group(app, &n.to_string())).collect();
    let mut member = Member::attach(fixture).await;
    let publisher = Member::attach(fixture).await;
    member.bus.subscribe(topics.clone()).await.unwrap();
    let frames: Vec<Frame> = (0..FRAMES).map(|n| frame(&topics[n * 7 % TOPICS], &n.to_string())).collect();
    for batch in frames.chunks(37) {
        publisher.bus.publish(batch.to_vec()).await.unwrap();
    }
    let mut last: HashMap<Topic, usize> = HashMap::new();
    for _ in 0..FRAMES {
        let frame = member.frame().await;
        let n: usize = std::str::from_utf8(&frame.payload).unwrap().parse().unwrap();
        let before = last.insert(frame.topic, n);
        assert!(before.is_none_or(|before| before < n), "{n} came after {before:?}");
    }
}

async fn many_topics_are_subscribed_at_once(fixture: &BusFixture) {
    let app = new_app();
    let topics: Vec<Topic> = (0..3000).map(|n| Topic::user(app, &format!("user{n}"))).collect();
    let mut member = Member::attach(fixture).await;
    member.bus.subscribe(topics.clone()).await.unwrap();
    member.bus.publish(topics.iter().map(|topic| frame(topic, "hello")).collect()).await.unwrap();
    let mut seen = std::collections::HashSet::new();
    for _ in &topics {
        assert!(seen.insert(member.frame().await.topic), "each arrives once");
    }
    member.bus.unsubscribe(topics).await.unwrap();
}

async fn a_holder_is_not_disturbed_by_others_who_come_and_go(fixture: &BusFixture) {
    let app = new_app();
    let topic = group(app, "busy");
    let mut member = Member::attach(fixture).await;
    let publisher = Member::attach(fixture).await;
    member.subscribe(&topic).await;
    let others: Vec<_> = (0..4)
        .map(|_| {
            let (bus, topic) = (member.bus.clone(), topic.clone());
            tokio::spawn(async move {
                for _ in 0..50 {
                    bus.subscribe(vec![topic.clone()]).await.unwrap();
                    bus.unsubscribe(vec![topic.clone()]).await.unwrap();
                }
            })
        })
        .collect();
    for n in 0..200 {
        publisher.publish(&topic, &n.to_string()).await;
        assert_eq!(member.frame().await, frame(&topic, &n.to_string()), "the holder sees every frame");
    }
    for other in others {
        other.await.unwrap();
    }
}

async fn a_slow_receiver_gets_a_gap_and_nobody_else_feels_it(fixture: &BusFixture) {
    const FRAMES: usize = 1000;
    const SLOW_FRAMES_MAX: usize = 16;
    let app = new_app();
    let topic = group(app, "flood");
    let mut fast = Member::attach(fixture).await;
    let mut slow = Member::with_queue(fixture, (SLOW_FRAMES_MAX, ROOMY.1)).await;
    let publisher = Member::attach(fixture).await;
    fast.subscribe(&topic).await;
    slow.subscribe(&topic).await;
    for n in 0..FRAMES {
        publisher.publish(&topic, &n.to_string()).await;
    }
    for n in 0..FRAMES {
        assert_eq!(fast.frame().await, frame(&topic, &n.to_string()), "the fast one gets every frame");
    }
    // Only now does the slow one read. What its connection still holds may come after the gap.
    let mut frames = 0;
    loop {
        match slow.event().await {
            BusEvent::Frame(_) => frames += 1,
            BusEvent::Gap { slots } => {
                assert!(slots.contains(topic.slot()), "the gap covers the slot of what was lost");
                break;
            }
        }
    }
    assert!(frames <= SLOW_FRAMES_MAX, "the queue is bounded: {frames}");
    let live = frame(&topic, "live again");
    publisher.publish(&topic, "live again").await;
    loop {
        match slow.event().await {
            BusEvent::Frame(frame) if frame == live => break,
            BusEvent::Frame(_) => {}
            // What its connection held was too much once more, and this frame may have been lost with it.
            BusEvent::Gap { .. } => publisher.publish(&topic, "live again").await,
        }
    }
}

async fn payloads_are_bounded(fixture: &BusFixture) {
    let app = new_app();
    let topic = Topic::user(app, "alice");
    let mut member = Member::attach(fixture).await;
    member.subscribe(&topic).await;
    let bytes_max = member.bus.payload_bytes_max();
    assert!(bytes_max >= 64 * 1024);
    let largest = Frame { topic: topic.clone(), payload: vec![7; bytes_max].into() };
    let too_large = Frame { topic: topic.clone(), payload: vec![7; bytes_max + 1].into() };
    let refused = member.bus.publish(vec![frame(&topic, "with it"), too_large]).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::TooLarge);
    member.bus.publish(vec![largest.clone()]).await.unwrap();
    assert_eq!(member.frame().await, largest, "the largest arrives, and nothing of a refused call");
}
