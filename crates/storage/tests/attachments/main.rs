//! Attachments on a folder and on an S3-compatible server.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod bed;
mod bucket;
mod damage;
mod ends;
mod limits;
mod whole;
