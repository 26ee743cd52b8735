//! One call to an app: what its handler and its answer need to know.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Query};
use bulkhead_model::{AppUuid, ErrorKind};
use bulkhead_proto::records::App;
use bytes::Bytes;
use http::request::Parts;

use super::error::RestError;
use crate::Gateway;

/// A call whose app is known; cheap to clone. [`super::dispatch`] makes it, handlers take it as an argument.
#[derive(Clone)]
pub(super) struct Call(Arc<CallParts>);

/// The parts of a [`Call`].
pub(super) struct CallParts {
    pub(super) gateway: Arc<Gateway>,
    pub(super) app: App,
    pub(super) app_uuid: AppUuid,
    /// Unix milliseconds.
    pub(super) began_ms: u64,
    /// The path below the app, as it came.
    pub(super) path: String,
    /// The whole address as clients reach it, without the query.
    pub(super) uri: String,
    /// In the order given.
    pub(super) query: Vec<(String, String)>,
}

impl Call {
    pub(super) fn new(parts: CallParts) -> Self {
        Self(Arc::new(parts))
    }

    /// The app as internal requests carry it.
    pub(super) fn app_bytes(&self) -> Bytes {
        self.app.uuid.clone()
    }

    /// The first value of a query parameter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The `limit` parameter: `default` when absent, cut to `max`; 400 for anything but a positive number.
    pub(super) fn limit(&self, default: u32, max: u32) -> Result<u32, RestError> {
        match self.query("limit") {
            None | Some("") => Ok(default),
            Some(text) => match text.parse::<u32>() {
                Ok(limit) if limit > 0 => Ok(limit.min(max)),
                _ => Err(RestError::illegal("limit must be a positive number")),
            },
        }
    }
}

impl Deref for Call {
    type Target = CallParts;

    fn deref(&self) -> &CallParts {
        &self.0
    }
}

/// Reads a query string; 400 when it is not one.
pub(super) fn read_query(uri: &http::Uri) -> Result<Vec<(String, String)>, RestError> {
    Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map(|Query(pairs)| pairs)
        .map_err(|_| RestError::illegal("the query string is not valid"))
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, RestError> {
        // Only `dispatch` leads here, and it always puts the call in.
        parts.extensions.get::<Call>().cloned().ok_or_else(|| ErrorKind::Internal.into())
    }
}
