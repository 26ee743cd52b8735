//! The bus of two routers as their configuration describes it: keys from storage, frames on a real Redis.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bulkhead::bus::{RouterBus, redis_bus, redis_settings};
use bulkhead_bus::{BusEvent, Frame, RegistryPut, Topic};
use bulkhead_bus_redis::RedisSettings;
use bulkhead_chassis::{Config, OsEntropy, Role, SystemClock};
use bulkhead_model::{AppUuid, ErrorKind, Result};
use bulkhead_seal::RegionKey;
use bulkhead_storage::BusKeyService;
use bulkhead_testkit::{RedisOptions, RedisServer};
use bytes::Bytes;

const LIMIT: Duration = Duration::from_secs(30);

fn settings(region: &str, server: &RedisServer, password_file: &Path) -> RedisSettings {
    let file = format!(
        r#"
            region = "{region}"
            identity = {{ insecure = true }}
            [endpoints.auth]
            url = "http://127.0.0.1:1"
            region = "{region}"
            [endpoints.storage]
            url = "http://127.0.0.1:2"
            region = "{region}"
            [bus]
            kind = "redis"
            region = "{region}"
            shards = ["{}"]
            user = "bulkhead"
            password_file = "{}"
        "#,
        server.url(),
        password_file.display(),
    );
    let config = Config::read(Role::Router, "router.toml", &file, []).expect("the configuration is right");
    let bus = config.bus.expect("a router has a bus");
    redis_settings(config.region, &bus).expect("its files are there").expect("it is on Redis")
}

async fn start(settings: RedisSettings) -> Result<RouterBus> {
    let region_key = RegionKey::from_hex(&"ab".repeat(32)).expect("64 digits");
    // Each router has a storage process of its own, with the same region key.
    let keys = BusKeyService::new(settings.region, &region_key, Arc::new(SystemClock));
    redis_bus(settings, keys, Arc::new(SystemClock), Arc::new(OsEntropy), (1000, 1024 * 1024)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routers_of_one_configuration_reach_each_other_and_another_regions_is_refused() {
    let user = Some(("bulkhead".to_owned(), "secret-of-redis".to_owned()));
    let server = RedisServer::start(RedisOptions { user, ..RedisOptions::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let password_file = folder.path().join("redis-password");
    std::fs::write(&password_file, "secret-of-redis\n").unwrap();
    std::fs::set_permissions(&password_file, std::fs::Permissions::from_mode(0o600)).unwrap();

    let one = start(settings("virginia", &server, &password_file)).await.unwrap();
    let mut other = start(settings("virginia", &server, &password_file)).await.unwrap();
    let topic = Topic::user(AppUuid([7; 16]), "alice");
    other.bus.subscribe(vec![topic.clone()]).await.unwrap();
    let frame = Frame { topic: topic.clone(), payload: Bytes::from_static(b"hello") };
    one.bus.publish(vec![frame.clone()]).await.unwrap();
    let event = tokio::time::timeout(LIMIT, other.events.recv()).await.unwrap();
    assert_eq!(event, Some(BusEvent::Frame(frame)));
    let put = RegistryPut { key: topic.clone(), field: Bytes::from("router"), value: Bytes::from("1") };
    one.registry.put(vec![put], 60_000).await.unwrap();
    assert_eq!(other.registry.list(vec![topic]).await.unwrap()[0][0].value, Bytes::from("1"));
    let dialled = one.redis.unwrap().dialled();
    assert_eq!(dialled[0].proven_region.as_deref(), Some("virginia"));

    let refused = start(settings("singapore", &server, &password_file)).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    assert!(refused.message().starts_with("bus.shards: "), "{refused}");
}
