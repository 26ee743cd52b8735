//! The whole path of a message through the router: queue, de-duplicate, judge, sequence, append, answer, deliver; on the
//! embedded engine, durable, with every user online and every message from a device with a client id.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulkhead_api::{AuthApi, DeliverySink, RouterApi};
use bulkhead_auth::{AuthService, AuthSettings};
use bulkhead_model::{ManualClock, Region, SeededEntropy};
use bulkhead_proto::auth::{CreateAppRequest, NewUser, RegisterUsersRequest};
use bulkhead_proto::records::MessageKind;
use bulkhead_proto::router::{GatewayEvent, OpenSessionRequest, PublishRequest, Queue};
use bulkhead_router::{RouterDependencies, RouterService, RouterSettings};
use bulkhead_store_embedded::EmbeddedStore;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const PUBLISHERS: u64 = 120;
const IN_FLIGHT: u64 = 20;
const PAYLOAD_BYTES: usize = 200;

#[derive(Default)]
struct Counter(AtomicUsize);

impl DeliverySink for Counter {
    fn deliver(&self, events: Vec<GatewayEvent>) {
        self.0.fetch_add(events.len(), Ordering::Relaxed);
    }

    fn detached(&self) {}
}

fn publish(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let delivered = Arc::new(Counter::default());
    let clock = Arc::new(ManualClock::at(1_800_000_000_000));
    let (router, app) = runtime.block_on(start(folder.path(), &clock, delivered.clone()));
    let mut client_id = 0;
    let mut group = criterion.benchmark_group("publish");
    for (name, publishers, in_flight) in
        [("a lone message", 1, 1), ("many publishers", PUBLISHERS, IN_FLIGHT)]
    {
        group.throughput(Throughput::Elements(publishers * in_flight));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                clock.advance_ms(1);
                client_id += in_flight;
                runtime.block_on(async {
                    let mut all = tokio::task::JoinSet::new();
                    for publisher in 0..publishers {
                        let router = router.clone();
                        let request = request(&app, publisher);
                        all.spawn(async move {
                            let ids = client_id..client_id + in_flight;
                            let queue =
                                |client_id| router.publish(PublishRequest { client_id, ..request.clone() });
                            let pending: Vec<_> = ids.map(queue).collect();
                            for pending in pending {
                                pending.wait().await.expect("the message is durable");
                            }
                        });
                    }
                    while let Some(outcome) = all.join_next().await {
                        outcome.expect("no panic");
                    }
                });
            });
        });
    }
    group.finish();
    runtime.block_on(router.drain());
    assert!(delivered.0.load(Ordering::Relaxed) > 0);
}

async fn start(
    path: &std::path::Path,
    clock: &Arc<ManualClock>,
    sink: Arc<Counter>,
) -> (Arc<RouterService>, Bytes) {
    let store = EmbeddedStore::open(path, Region::Singapore, clock.clone()).expect("the store opens");
    let entropy = Arc::new(SeededEntropy::new(1));
    let settings = AuthSettings::default();
    let auth = AuthService::new(store.clone(), Region::Singapore, clock.clone(), entropy, settings);
    let names =
        CreateAppRequest { org_name: "demo".into(), app_name: "chat".into(), ..CreateAppRequest::default() };
    let app = auth.create_app(names).await.expect("the app is made").app.expect("it is answered").uuid;
    let users: Vec<_> = (0..PUBLISHERS).map(user).collect();
    for users in users.chunks(60) {
        let new = |name: &String| NewUser { username: name.clone(), ..NewUser::default() };
        let users = users.iter().map(new).collect();
        auth.register_users(RegisterUsersRequest { app: app.clone(), users }).await.expect("users are made");
    }
    let dependencies = RouterDependencies {
        region: Region::Singapore,
        store,
        auth,
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(3)),
        address: String::new(),
        alone: true,
        bus: None,
        settings: RouterSettings::default(),
    };
    let router = RouterService::start(dependencies).await.expect("the router starts");
    router.attach("gateway", sink).await.expect("the gateway attaches");
    for n in 0..PUBLISHERS {
        let login = OpenSessionRequest {
            gateway: "gateway".into(),
            session: n + 1,
            app: app.clone(),
            user: user(n),
            device: "web_1".into(),
            platform: "web".into(),
            ..OpenSessionRequest::default()
        };
        router.open_session(login).await.expect("the session opens");
    }
    (router, app)
}

fn user(n: u64) -> String {
    format!("user{n}")
}

fn request(app: &Bytes, publisher: u64) -> PublishRequest {
    PublishRequest {
        app: app.clone(),
        from_user: user(publisher),
        from_device: "web_1".into(),
        to: Some(Queue { name: user((publisher + 1) % PUBLISHERS), ..Queue::default() }),
        kind: MessageKind::Chat.into(),
        payload: Bytes::from(vec![7; PAYLOAD_BYTES]),
        sync_devices: true,
        ..PublishRequest::default()
    }
}

criterion_group!(benches, publish);
criterion_main!(benches);
