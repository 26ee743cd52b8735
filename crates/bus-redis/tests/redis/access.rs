//! Who may use a shard, and whose it is.

use std::path::Path;

use bulkhead_bus::{Bus, Registry, RegistryPut, Topic, queue};
use bulkhead_bus_redis::{Layout, RedisBus, RedisSettings};
use bulkhead_model::{Error, ErrorKind, Region};
use bulkhead_testkit::{RedisCluster, RedisOptions, RedisServer, RedisTls};
use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use zeroize::Zeroizing;

use crate::support::{APP, LIMIT, Member, servers, settings, until, urls};

const PASSWORD: &str = "correct-horse";

fn with_user(options: RedisOptions) -> RedisOptions {
    RedisOptions { user: Some(("bulkhead".to_owned(), PASSWORD.to_owned())), ..options }
}

fn as_user(settings: RedisSettings, password: &str) -> RedisSettings {
    let password = Some(Zeroizing::new(password.to_owned()));
    RedisSettings { user: Some("bulkhead".to_owned()), password, ..settings }
}

async fn refusal(settings: RedisSettings) -> Error {
    let (sink, _events) = queue(10, 1000);
    let started =
        tokio::time::timeout(LIMIT, RedisBus::start(settings, sink)).await.expect("it ends in time");
    started.err().expect("it is refused")
}

/// A frame and an entry go through.
async fn works(settings: RedisSettings) {
    let mut member = Member::start(settings).await;
    let topic = Topic::user(APP, "alice");
    member.subscribe(&topic).await;
    member.publish(&topic, "hello").await;
    member.expect(&topic, "hello").await;
    member.bus.unsubscribe(vec![topic.clone()]).await.unwrap();
    let registry = member.bus.registry();
    let entry = RegistryPut { key: topic.clone(), field: Bytes::from("f"), value: Bytes::from("v") };
    registry.put(vec![entry], 60_000).await.unwrap();
    assert_eq!(registry.list(vec![topic.clone()]).await.unwrap()[0].len(), 1);
    registry.remove(vec![(topic, Bytes::from("f"))]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_the_documented_rights_can_do_all_and_others_are_refused() {
    let server = RedisServer::start(with_user(RedisOptions::default())).unwrap();
    let plain = || settings(Layout::Primaries, vec![server.url()]);
    works(as_user(plain(), PASSWORD)).await;
    for refused in [refusal(as_user(plain(), "wrong-horse")).await, refusal(plain()).await] {
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        assert!(refused.message().starts_with("bus.user, bus.password_file: "), "{refused}");
        assert!(!refused.message().contains("horse"), "{refused}");
    }
    let cluster = RedisCluster::start(2, &with_user(RedisOptions::default())).unwrap();
    works(as_user(settings(Layout::Cluster, vec![cluster.nodes[0].url()]), PASSWORD)).await;
}

/// Writes an authority and a certificate for `localhost`; answers the authority's PEM.
fn certificates(folder: &Path) -> (RedisTls, Vec<u8>) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "the authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let tls = RedisTls {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
        authority: folder.join("authority.pem"),
    };
    std::fs::write(&tls.certificate, certificate.pem()).unwrap();
    std::fs::write(&tls.key, key.serialize_pem()).unwrap();
    std::fs::write(&tls.authority, &authority_pem).unwrap();
    (tls, authority_pem.into_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_is_spoken_to_over_tls_and_must_come_from_the_given_authority() {
    // Another test may have installed it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let (tls, authority) = certificates(folder.path());
    let server = RedisServer::start(RedisOptions { tls: Some(tls), ..RedisOptions::default() }).unwrap();
    let trusting = |authority| RedisSettings {
        tls_ca: Some(authority),
        ..settings(Layout::Primaries, vec![server.url()])
    };
    works(trusting(authority)).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let (_, other_authority) = certificates(elsewhere.path());
    assert_eq!(refusal(trusting(other_authority)).await.kind(), ErrorKind::Unavailable);
    let refused = refusal(trusting(b"-----BEGIN CERTIFICATE-----".to_vec())).await;
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    assert!(refused.message().starts_with("bus.tls_ca_file: "), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_of_another_region_is_refused_by_the_name_of_the_setting() {
    let servers = servers(2);
    // The first user's mark stays.
    Member::start(settings(Layout::Primaries, vec![servers[1].url()])).await;
    let foreign = RedisSettings { region: Region::Frankfurt, ..settings(Layout::Primaries, urls(&servers)) };
    let refused = refusal(foreign).await;
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    let url = servers[1].url();
    assert_eq!(
        refused.message(),
        format!("bus.shards: {url} is marked as singapore's, and this node is frankfurt's")
    );

    let cluster = RedisCluster::start(2, &RedisOptions::default()).unwrap();
    let seeds = vec![cluster.nodes[0].url()];
    Member::start(settings(Layout::Cluster, seeds.clone())).await;
    let foreign = RedisSettings { region: Region::Virginia, ..settings(Layout::Cluster, seeds) };
    assert_eq!(refusal(foreign).await.kind(), ErrorKind::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_turns_into_another_regions_is_left_alone_until_it_is_ours_again() {
    let servers = servers(1);
    let mut member = Member::start(settings(Layout::Primaries, urls(&servers))).await;
    let topic = Topic::user(APP, "alice");
    member.subscribe(&topic).await;
    servers[0].cli(&["SET", "bh:region", "frankfurt"]).unwrap();
    for kind in ["normal", "pubsub"] {
        servers[0].cli(&["CLIENT", "KILL", "TYPE", kind]).unwrap();
    }
    member.publish(&topic, "into the dead connection").await;
    until("it is refused", || member.bus.dialled()[0].refused && !member.bus.shards_away().is_empty()).await;
    assert_eq!(member.bus.dialled()[0].proven_region.as_deref(), Some("frankfurt"));
    servers[0].cli(&["SET", "bh:region", "singapore"]).unwrap();
    member.gap_of(&topic, |other| panic!("{other:?} came from a foreign shard")).await;
    member.whole().await;
    let dialled = member.bus.dialled();
    assert_eq!((dialled.len(), dialled[0].proven_region.as_deref()), (1, Some("singapore")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_a_shard_ends_in_time() {
    let mut servers = servers(2);
    servers[1].kill().unwrap();
    let refused = refusal(settings(Layout::Primaries, urls(&servers))).await;
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.message().contains(&servers[1].url()), "{refused}");
    let refused = refusal(settings(Layout::Cluster, vec![servers[0].url()])).await;
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "a server that is no cluster: {refused}");
    let refused = refusal(settings(Layout::Primaries, vec!["http://127.0.0.1:1".to_owned()])).await;
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
}
