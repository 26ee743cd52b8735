//! What somebody sees who may watch everything that happens in Redis.

use std::sync::Arc;

use bulkhead_bus::{Bus, BusEvent, BusReceiver, Registry, RegistryPut, SealedRegistry, Topic, queue};
use bulkhead_bus_redis::Layout;
use bulkhead_model::Channel;
use bulkhead_testkit::RedisServer;
use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;

use crate::support::{APP, LIMIT, Member, frame, sealed, sealer, servers, settings, until, urls};

const USERNAME: &str = "alice-in-plain-text";
const GROUP: &str = "4711-in-plain-text";
const PAYLOAD: &str = "attack-at-dawn";
const FIELD: &str = "router-of-alice";
const VALUE: &str = "device-of-alice";

/// Everything that can be read out of Redis: all commands and all messages.
struct Watcher {
    seen: Arc<Mutex<Vec<u8>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Watcher {
    async fn start(server: &RedisServer) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let client = redis::Client::open(server.url()).unwrap();
        let mut monitor = client.get_async_monitor().await.unwrap().into_on_message::<String>();
        let mut pubsub = client.get_async_pubsub().await.unwrap();
        pubsub.psubscribe("*").await.unwrap();
        let commands = seen.clone();
        let messages = seen.clone();
        let tasks = vec![
            tokio::spawn(async move {
                while let Some(line) = monitor.next().await {
                    commands.lock().extend_from_slice(line.as_bytes());
                }
            }),
            tokio::spawn(async move {
                let mut stream = pubsub.into_on_message();
                while let Some(message) = stream.next().await {
                    let mut seen = messages.lock();
                    seen.extend_from_slice(message.get_channel_name().as_bytes());
                    seen.extend_from_slice(message.get_payload_bytes());
                }
            }),
        ];
        Self { seen, tasks }
    }

    fn saw(&self, text: &[u8]) -> bool {
        self.seen.lock().windows(text.len()).any(|window| window == text)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Does what a router does: frames to a user and a group, and an entry in the registry.
async fn use_bus(bus: &dyn Bus, registry: &dyn Registry, events: &mut BusReceiver) {
    let topics = [Topic::user(APP, USERNAME), Topic::channel(APP, &Channel::Group(GROUP.to_owned()))];
    bus.subscribe(topics.to_vec()).await.unwrap();
    for topic in &topics {
        bus.publish(vec![frame(topic, PAYLOAD)]).await.unwrap();
        let event = tokio::time::timeout(LIMIT, events.recv()).await.unwrap();
        assert_eq!(event, Some(BusEvent::Frame(frame(topic, PAYLOAD))));
    }
    let (field, value) = (Bytes::from(FIELD), Bytes::from(VALUE));
    registry.put(vec![RegistryPut { key: topics[0].clone(), field, value }], 60_000).await.unwrap();
    assert_eq!(registry.list(vec![topics[0].clone()]).await.unwrap()[0].len(), 1);
    registry.remove(vec![(topics[0].clone(), Bytes::from("another-field"))]).await.unwrap();
    bus.unsubscribe(topics.to_vec()).await.unwrap();
}

/// What the watcher has seen once it has seen the end, too.
async fn end(server: &RedisServer, watcher: &Watcher) {
    server.cli(&["PUBLISH", "the-end", "the-last-message"]).unwrap();
    // The command, and the message.
    until("the end is seen twice", || {
        let seen = watcher.seen.lock();
        seen.windows(7).filter(|window| window == b"the-end").count() >= 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_payloads_nor_names_can_be_read_in_redis() {
    let servers = servers(1);
    let settings = settings(Layout::Primaries, urls(&servers));
    let watcher = Watcher::start(&servers[0]).await;
    let (sink, mut events) = queue(100, 1024 * 1024);
    let sealer = sealer(1).await;
    let (bus, below) = sealed(sealer.clone(), settings, sink).await;
    let registry = SealedRegistry::new(sealer, below.registry());
    use_bus(&*bus, &*registry, &mut events).await;
    end(&servers[0], &watcher).await;
    assert!(
        watcher.saw(b"PUBLISH") && watcher.saw(b"EVALSHA") && watcher.saw(b"bh:{"),
        "it sees what happens"
    );
    for secret in [USERNAME, GROUP, PAYLOAD, FIELD, VALUE, "another-field", "app-identity"] {
        assert!(!watcher.saw(secret.as_bytes()), "{secret} can be read");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watcher_would_see_what_is_not_sealed() {
    let servers = servers(1);
    let watcher = Watcher::start(&servers[0]).await;
    let mut member = Member::start(settings(Layout::Primaries, urls(&servers))).await;
    let registry = member.bus.registry();
    use_bus(&*member.bus, &*registry, &mut member.events).await;
    end(&servers[0], &watcher).await;
    for secret in [USERNAME, GROUP, PAYLOAD, FIELD, VALUE, "another-field", "app-identity"] {
        assert!(watcher.saw(secret.as_bytes()), "{secret} was not seen");
    }
}
