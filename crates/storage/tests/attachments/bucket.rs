//! An object store that is not what it should be.

use bulkhead_model::{ErrorKind, ManualClock, Region};
use bulkhead_storage::{AttachmentService, AttachmentSettings, ObjectPlace, S3Place, StorageService};
use bulkhead_testkit::S3Server;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::bed::{NOW_MS, storage};

async fn start(endpoint: String, secret_key: &str) -> Option<bulkhead_model::Error> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let storage: Arc<StorageService> = storage(&folder, Region::Singapore, &clock).await;
    let place = ObjectPlace::S3(S3Place {
        endpoint,
        bucket: S3Server::BUCKET.into(),
        signing_region: "us-east-1".into(),
        access_key: S3Server::ACCESS_KEY.into(),
        secret_key: Zeroizing::new(secret_key.into()),
    });
    let settings = AttachmentSettings { place, retention_ms: None, uploads_max: 1 };
    let entropy = Arc::new(bulkhead_model::SeededEntropy::new(3));
    AttachmentService::start(storage, clock, entropy, settings).await.err()
}

#[tokio::test]
async fn a_redirect_to_another_address_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = format!("http://{}/attachments/bulkhead-region", elsewhere.local_addr().unwrap());
    let store = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", store.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = store.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = format!(
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let refused = start(endpoint, "any").await.unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    let came = futures_util::FutureExt::now_or_never(elsewhere.accept());
    assert!(came.is_none(), "somebody came to where the redirect leads");
}

#[tokio::test]
async fn a_wrong_secret_ends_the_start_without_being_told() {
    let server = S3Server::start().await.unwrap();
    assert!(start(server.endpoint(), S3Server::SECRET_KEY).await.is_none());
    let refused = start(server.endpoint(), "not the secret").await.unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(!refused.to_string().contains("secret"), "{refused}");
}
