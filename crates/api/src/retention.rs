use async_trait::async_trait;
use bulkhead_model::Result;
use bulkhead_proto::storage::{RetentionReport, RetentionRequest};

/// What the storage service tells of what it keeps.
#[async_trait]
pub trait RetentionApi: Send + Sync + 'static {
    /// How much there is of each class of an app, how old it is and what goes next. Counts a bounded number of things and
    /// says so where there are more. `AppNotFound`.
    async fn report(&self, request: RetentionRequest) -> Result<RetentionReport>;
}
