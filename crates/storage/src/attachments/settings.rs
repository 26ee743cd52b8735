use std::path::PathBuf;

use zeroize::Zeroizing;

/// What an operator sets for attachments.
pub struct AttachmentSettings {
    pub place: ObjectPlace,
    /// Milliseconds that a file is kept at most; the app's plan ends it before when it keeps messages for less. `None`: as
    /// long as the plan.
    pub retention_ms: Option<u64>,
    /// Files that may be taken at one time; each holds up to 4 MiB in memory. One more is refused.
    pub uploads_max: usize,
}

/// Where the objects are.
pub enum ObjectPlace {
    /// A folder of this machine, made when it is missing. It belongs to one storage process.
    Folder(PathBuf),
    /// A bucket of an S3-compatible store.
    S3(S3Place),
}

/// A bucket and how to reach it.
pub struct S3Place {
    /// `http(s)://host[:port]`.
    pub endpoint: String,
    pub bucket: String,
    /// The region that requests are signed for, in the store's own words (`us-east-1` where it has none).
    pub signing_region: String,
    pub access_key: String,
    pub secret_key: Zeroizing<String>,
}
