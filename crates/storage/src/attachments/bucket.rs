//! A bucket of an S3-compatible store, called directly and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::{ErrorKind, Result};
use object_store::aws::AmazonS3Builder;
use object_store::client::{HttpClient, HttpConnector};
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use reqwest::redirect::Policy;

use super::S3Place;
use super::objects::CALL_LIMIT;

/// How long opening a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Repetitions of a call that fails in a way that may pass.
const RETRIES_MAX: usize = 3;

pub(super) fn open_bucket(place: &S3Place) -> Result<Arc<dyn ObjectStore>> {
    let retries =
        RetryConfig { max_retries: RETRIES_MAX, retry_timeout: CALL_LIMIT, ..RetryConfig::default() };
    let store = AmazonS3Builder::new()
        .with_endpoint(&place.endpoint)
        .with_allow_http(place.endpoint.starts_with("http://"))
        .with_bucket_name(&place.bucket)
        .with_region(&place.signing_region)
        .with_access_key_id(&place.access_key)
        .with_secret_access_key(place.secret_key.as_str())
        .with_virtual_hosted_style_request(false)
        .with_retry(retries)
        .with_http_connector(Direct)
        .build()
        .map_err(|error| ErrorKind::InvalidArgument.with(format!("storage.objects: {error}")))?;
    Ok(Arc::new(store))
}

/// Connects to the configured address alone. A proxy of the environment is not asked, and a redirect is an error: a store
/// whose bucket is in another region answers with one, and nothing may follow it there.
#[derive(Debug)]
struct Direct;

impl HttpConnector for Direct {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(CALL_LIMIT)
            .connect_timeout(CONNECT_LIMIT)
            .build();
        client
            .map(HttpClient::new)
            .map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })
    }
}
