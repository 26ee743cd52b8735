//! Every limit at its bound and one past it.

use bulkhead_api::AttachmentApi;
use bulkhead_model::ErrorKind;
use bulkhead_proto::attachments::BeginUpload;
use bytes::Bytes;

use crate::bed::{BYTES_MAX, Bed, content, finish, kind};

#[tokio::test]
async fn a_file_has_at_least_one_byte_and_at_most_what_it_was_begun_with() {
    let bed = Bed::on_folder().await;
    let empty = bed.begin(10).await.unwrap();
    assert_eq!(kind(empty.finish(finish()).await), Some(ErrorKind::InvalidArgument));

    let mut full = bed.begin(10).await.unwrap();
    full.append(Bytes::from(content(9))).await.unwrap();
    full.append(Bytes::from(content(1))).await.unwrap();
    assert_eq!(full.finish(finish()).await.unwrap().bytes, 10);

    let mut over = bed.begin(10).await.unwrap();
    over.append(Bytes::from(content(10))).await.unwrap();
    assert_eq!(kind(over.append(Bytes::from(content(1))).await), Some(ErrorKind::TooLarge));
}

#[tokio::test]
async fn a_range_is_within_the_file() {
    let bed = Bed::on_folder().await;
    let made = bed.upload(&content(100)).await;
    assert_eq!(bed.read(&made.uuid, 99, 1).await.unwrap().len(), 1);
    for (offset, length) in [(0, 0), (0, 101), (100, 1), (u64::MAX, 2), (1, u64::MAX)] {
        assert_eq!(kind(bed.read(&made.uuid, offset, length).await), Some(ErrorKind::InvalidArgument));
    }
}

#[tokio::test]
async fn names_and_identities_have_their_sizes() {
    let bed = Bed::on_folder().await;
    let begin = BeginUpload { app: Bytes::from_static(b"short"), bytes_max: 1 };
    assert_eq!(kind(bed.attachments.begin(begin).await), Some(ErrorKind::InvalidArgument));
    assert_eq!(
        kind(bed.head(crate::bed::APP, &Bytes::from_static(b"1")).await),
        Some(ErrorKind::InvalidArgument)
    );
    for (length, is_fine) in [(255, true), (256, false)] {
        let mut upload = bed.begin(BYTES_MAX).await.unwrap();
        upload.append(Bytes::from_static(b"x")).await.unwrap();
        let mut request = finish();
        request.file_name = "n".repeat(length);
        assert_eq!(upload.finish(request).await.is_ok(), is_fine, "{length}");
    }
}

#[tokio::test]
async fn so_many_uploads_at_one_time_and_no_more() {
    let bed = Bed::on_folder().await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(bed.begin(BYTES_MAX).await.unwrap());
    }
    assert_eq!(kind(bed.begin(BYTES_MAX).await), Some(ErrorKind::RateLimited));
    open.pop();
    assert!(bed.begin(BYTES_MAX).await.is_ok());
}
