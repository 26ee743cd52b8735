//! Files that are over: their records and objects go when their half day does.

use bulkhead_model::{AppUuid, Result};

use super::{Attachments, FileId};

impl Attachments {
    /// How long a file of an app is kept, in milliseconds: as the plan in force says, or shorter.
    pub(crate) async fn life_ms(&self, app: AppUuid) -> Result<u64> {
        Ok(self.shortened(self.storage.plan_ms(app).await?))
    }

    /// How long a file is kept when its app's messages are kept for so long, in milliseconds.
    pub(crate) fn shortened(&self, plan_ms: u64) -> u64 {
        self.retention_ms.map_or(plan_ms, |ms| ms.min(plan_ms))
    }

    /// Removes a file that is over. Can be repeated.
    pub(crate) async fn expire(&self, file: FileId) -> Result<()> {
        if self.expire_record(file).await? {
            metrics::counter!("bulkhead_storage_attachments_removed_total").increment(1);
        }
        self.objects.remove(file).await
    }
}
