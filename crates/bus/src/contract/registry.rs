use std::sync::atomic::{AtomicU64, Ordering};

use bulkhead_model::{AppUuid, ErrorKind};
use bytes::Bytes;

use super::RegistryFixture;
use crate::{
    Entry, FIELD_BYTES_MAX, FIELDS_PER_KEY_MAX, REGISTRY_BATCH_MAX, Registry, RegistryPut, TTL_MS_MAX, Topic,
};

/// A life that no check outlasts.
const LONG_MS: u64 = 60 * 60 * 1000;

/// A life that is awaited, in real time where the clock is real.
const SHORT_MS: u64 = 400;

/// Runs every check, each on a fixture of its own.
pub async fn run_registry<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = RegistryFixture>,
{
    entries_are_put_listed_and_removed(&make().await).await;
    keys_and_apps_are_apart(&make().await).await;
    entries_vanish_unless_they_are_renewed(&make().await).await;
    many_entries_go_in_one_call(&make().await).await;
    limits_are_kept(&make().await).await;
}

/// A user of an app that no other check has used.
fn new_user(name: &str) -> Topic {
    static APPS: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0xCD; 16];
    bytes[8..].copy_from_slice(&APPS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Topic::user(AppUuid(bytes), name)
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(key: &Topic, field: &str, value: &str) -> RegistryPut {
    RegistryPut { key: key.clone(), field: bytes(field), value: bytes(value) }
}

fn entry(field: &str, value: &str) -> Entry {
    Entry { field: bytes(field), value: bytes(value) }
}

async fn list(registry: &dyn Registry, key: &Topic) -> Vec<Entry> {
    registry.list(vec![key.clone()]).await.unwrap().pop().unwrap()
}

async fn entries_are_put_listed_and_removed(fixture: &RegistryFixture) {
    let registry = &*fixture.registry;
    let alice = new_user("alice");
    assert_eq!(list(registry, &alice).await, [], "an unknown key has no entries");
    registry.put(vec![put(&alice, "b", "2"), put(&alice, "a", "1")], LONG_MS).await.unwrap();
    assert_eq!(list(registry, &alice).await, [entry("a", "1"), entry("b", "2")], "fields in their order");
    registry.put(vec![put(&alice, "a", ""), put(&alice, "\u{0}\r\n", "x")], LONG_MS).await.unwrap();
    assert_eq!(list(registry, &alice).await, [entry("\u{0}\r\n", "x"), entry("a", ""), entry("b", "2")]);
    let fields = vec![(alice.clone(), bytes("a")), (alice.clone(), bytes("missing"))];
    registry.remove(fields).await.unwrap();
    assert_eq!(list(registry, &alice).await, [entry("\u{0}\r\n", "x"), entry("b", "2")]);
}

async fn keys_and_apps_are_apart(fixture: &RegistryFixture) {
    let registry = &*fixture.registry;
    let (alice, bob, other_alice) = (new_user("alice"), new_user("bob"), new_user("alice"));
    registry.put(vec![put(&alice, "f", "alice"), put(&bob, "f", "bob")], LONG_MS).await.unwrap();
    let found = registry.list(vec![bob.clone(), other_alice, alice.clone()]).await.unwrap();
    assert_eq!(
        found,
        [vec![entry("f", "bob")], vec![], vec![entry("f", "alice")]],
        "in the order of the keys"
    );
    registry.remove(vec![(bob, bytes("f"))]).await.unwrap();
    assert_eq!(list(registry, &alice).await, [entry("f", "alice")]);
}

async fn entries_vanish_unless_they_are_renewed(fixture: &RegistryFixture) {
    let registry = &*fixture.registry;
    let alice = new_user("alice");
    registry.put(vec![put(&alice, "long", "1")], LONG_MS).await.unwrap();
    registry.put(vec![put(&alice, "renewed", "2"), put(&alice, "short", "3")], SHORT_MS).await.unwrap();
    registry.put(vec![put(&alice, "renewed", "2")], LONG_MS).await.unwrap();
    (fixture.pass_ms)(SHORT_MS).await;
    let left = [entry("long", "1"), entry("renewed", "2")];
    assert_eq!(list(registry, &alice).await, left, "each entry has a life of its own");

    let bob = new_user("bob");
    registry.put(vec![put(&bob, "long", "1")], LONG_MS).await.unwrap();
    registry.put(vec![put(&bob, "long", "1")], SHORT_MS).await.unwrap();
    (fixture.pass_ms)(SHORT_MS).await;
    assert_eq!(list(registry, &bob).await, [], "the last life counts");
}

async fn many_entries_go_in_one_call(fixture: &RegistryFixture) {
    let registry = &*fixture.registry;
    let users: Vec<Topic> = (0..REGISTRY_BATCH_MAX).map(|n| new_user(&format!("user{n}"))).collect();
    let puts = users.iter().map(|user| put(user, "here", "1")).collect();
    registry.put(puts, LONG_MS).await.unwrap();
    let found = registry.list(users).await.unwrap();
    assert!(found.iter().all(|entries| *entries == [entry("here", "1")]));
}

async fn limits_are_kept(fixture: &RegistryFixture) {
    let registry = &*fixture.registry;
    let alice = new_user("alice");
    let field = "f".repeat(FIELD_BYTES_MAX);
    let value = "v".repeat(registry.value_bytes_max());
    registry.put(vec![put(&alice, &field, &value)], TTL_MS_MAX).await.unwrap();
    assert_eq!(list(registry, &alice).await, [entry(&field, &value)], "the largest entry is held");
    let wrong = [
        (put(&alice, &format!("{field}f"), ""), LONG_MS),
        (put(&alice, "", "1"), LONG_MS),
        (put(&alice, "a", &format!("{value}v")), LONG_MS),
        (put(&alice, "a", "1"), 0),
        (put(&alice, "a", "1"), TTL_MS_MAX + 1),
    ];
    for (wrong, ttl_ms) in wrong {
        let refused = registry.put(vec![wrong], ttl_ms).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let one_too_many = vec![put(&alice, "a", "1"); REGISTRY_BATCH_MAX + 1];
    assert_eq!(registry.put(one_too_many, LONG_MS).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    let keys = vec![alice.clone(); REGISTRY_BATCH_MAX + 1];
    assert_eq!(registry.list(keys).await.unwrap_err().kind(), ErrorKind::InvalidArgument);

    let bob = new_user("bob");
    let full: Vec<RegistryPut> =
        (0..FIELDS_PER_KEY_MAX).map(|n| put(&bob, &format!("{n:05}"), "1")).collect();
    registry.put(full.clone(), LONG_MS).await.unwrap();
    let refused = registry.put(vec![put(&bob, "one more", "1")], LONG_MS).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::RateLimited, "fields of a key are bounded");
    registry.put(full, LONG_MS).await.unwrap();
    assert_eq!(list(registry, &bob).await.len(), FIELDS_PER_KEY_MAX, "a full key is still renewed");
}
