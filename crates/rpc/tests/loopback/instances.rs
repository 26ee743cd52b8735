//! Several instances of one service behind one peer.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_api::AuthApi;
use bulkhead_model::ErrorKind;
use bulkhead_proto::auth::FindAppRequest;
use bulkhead_rpc::{AuthClient, Identity, RpcServer, Service, connect};

use crate::auth::EchoAuth;
use crate::certificates::Authority;
use crate::support::{REGION, Serving};

/// An instance whose apps carry its number as their version.
async fn instance(identity: &Identity, address: &str, version: u64) -> Serving {
    let api: Arc<dyn AuthApi> = Arc::new(EchoAuth { version });
    let address: SocketAddr = address.parse().unwrap();
    Serving::start_as(identity, address, |stop| RpcServer::auth(REGION, api, stop)).await
}

/// The instances that answer a number of calls.
async fn answering(client: &AuthClient, calls: usize) -> BTreeSet<u64> {
    let mut seen = BTreeSet::new();
    for _ in 0..calls {
        if let Ok(app) = client.find_app(FindAppRequest::default()).await {
            seen.insert(app.version);
        }
    }
    seen
}

async fn wait_until_answering(client: &AuthClient, wanted: &[u64]) {
    let wanted: BTreeSet<_> = wanted.iter().copied().collect();
    let waiting = async {
        while answering(client, 8).await != wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the instances are found");
}

#[tokio::test]
async fn calls_are_spread_over_the_instances_and_one_that_is_lost_is_left_out_until_it_returns() {
    let own = Authority::new();
    let server = own.identity(Service::Auth);
    let one = instance(&server, "127.0.0.1:0", 1).await;
    let two = instance(&server, "127.0.0.1:0", 2).await;
    let urls = format!("https://{},https://{}", one.address, two.address);
    let client = AuthClient::new(connect(&own.identity(Service::Gateway), Service::Auth, &urls).unwrap());
    wait_until_answering(&client, &[1, 2]).await;

    let address = one.address;
    one.stop().await;
    wait_until_answering(&client, &[2]).await;
    // None of them goes to the one that is away.
    for _ in 0..32 {
        assert_eq!(client.find_app(FindAppRequest::default()).await.unwrap().version, 2);
    }
    let one = instance(&server, &address.to_string(), 3).await;
    wait_until_answering(&client, &[2, 3]).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn the_first_call_finds_the_instance_that_is_there_and_no_instance_is_unavailable() {
    let own = Authority::new();
    let gone = instance(&own.identity(Service::Auth), "127.0.0.1:0", 1).await;
    let two = instance(&own.identity(Service::Auth), "127.0.0.1:0", 2).await;
    let urls = format!("https://{},https://{}", gone.address, two.address);
    gone.stop().await;
    let client = AuthClient::new(connect(&own.identity(Service::Gateway), Service::Auth, &urls).unwrap());
    assert_eq!(client.find_app(FindAppRequest::default()).await.unwrap().version, 2);
    two.stop().await;
    wait_until_answering(&client, &[]).await;
    let error = client.find_app(FindAppRequest::default()).await.unwrap_err();
    assert_eq!(error, ErrorKind::Unavailable.into());
}

#[tokio::test]
async fn an_instance_of_another_region_is_never_part_of_them() {
    let (own, other) = (Authority::new(), Authority::new());
    let one = instance(&own.identity(Service::Auth), "127.0.0.1:0", 1).await;
    let foreign = instance(&other.identity(Service::Auth), "127.0.0.1:0", 2).await;
    let urls = format!("https://{},https://{}", foreign.address, one.address);
    let identity = own.identity(Service::Gateway);
    let client = AuthClient::new(connect(&identity, Service::Auth, &urls).unwrap());
    assert_eq!(answering(&client, 16).await, BTreeSet::from([1]));
    let refused = |address| {
        let dialled = identity.dialled().into_iter().find(|dialled| dialled.address == address);
        dialled.is_some_and(|dialled| dialled.refused.is_some() && dialled.connected == 0)
    };
    assert!(refused(foreign.address));
    one.stop().await;
    foreign.stop().await;
}

#[tokio::test]
async fn a_name_leads_to_whichever_of_its_addresses_answers() {
    let own = Authority::new();
    let one = instance(&own.identity(Service::Auth), "127.0.0.1:0", 1).await;
    let url = format!("https://localhost:{}", one.address.port());
    let client = AuthClient::new(connect(&own.identity(Service::Gateway), Service::Auth, &url).unwrap());
    assert_eq!(client.find_app(FindAppRequest::default()).await.unwrap().version, 1);
    let unknown =
        connect(&own.identity(Service::Gateway), Service::Auth, "https://nowhere.invalid:1").unwrap();
    let error = AuthClient::new(unknown).find_app(FindAppRequest::default()).await.unwrap_err();
    assert_eq!(error, ErrorKind::Unavailable.into());
    one.stop().await;
}
