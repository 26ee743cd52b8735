//! What has to go goes: files that are over, uploads that broke off.

use bulkhead_api::AttachmentApi;
use bulkhead_model::ErrorKind;
use bulkhead_proto::attachments::AttachmentRequest;
use bulkhead_storage::Swept;
use bytes::Bytes;

use crate::bed::{APP, BYTES_MAX, Bed, DAY_MS, HOUR_MS, SEGMENT, bytes_of, content, finish, kind};

async fn an_expired_file_is_gone(bed: Bed) {
    let made = bed.upload(&content(SEGMENT + 1)).await;
    assert_eq!(bed.objects().len(), 2);
    bed.clock.advance_ms(7 * DAY_MS - 1);
    assert!(bed.head(APP, &made.uuid).await.is_ok());
    assert_eq!(bed.expire().await.attachments, 0);

    bed.clock.advance_ms(1);
    assert_eq!(kind(bed.head(APP, &made.uuid).await), Some(ErrorKind::AttachmentExpired));
    assert_eq!(kind(bed.read(&made.uuid, 0, 1).await), Some(ErrorKind::AttachmentExpired));
    bed.clock.advance_ms(14 * HOUR_MS);
    assert_eq!(bed.expire().await, Swept { attachments: 1, ..Swept::default() });
    assert_eq!(bed.objects(), []);
    assert_eq!(bed.expire().await, Swept::default(), "it is settled");
    assert_eq!(kind(bed.head(APP, &made.uuid).await), Some(ErrorKind::AttachmentExpired));
    bed.clock.advance_ms(30 * DAY_MS);
    assert_eq!(kind(bed.head(APP, &made.uuid).await), Some(ErrorKind::AttachmentNotFound));
}

#[tokio::test]
async fn the_objects_of_an_expired_file_are_removed_from_a_folder() {
    an_expired_file_is_gone(Bed::on_folder().await).await;
}

#[tokio::test]
async fn the_objects_of_an_expired_file_are_removed_from_a_bucket() {
    an_expired_file_is_gone(Bed::on_bucket().await).await;
}

#[tokio::test]
async fn an_upload_that_is_dropped_leaves_nothing() {
    for bed in [Bed::on_folder().await, Bed::on_bucket().await] {
        let mut upload = bed.begin(BYTES_MAX).await.unwrap();
        upload.append(Bytes::from(content(SEGMENT + 100_000))).await.unwrap();
        assert_eq!(bed.objects().len(), 1, "one segment is written, and nobody can name it");
        drop(upload);
        bed.until_empty().await;
    }
}

#[tokio::test]
async fn an_upload_that_died_with_its_process_is_removed_and_a_finished_one_beside_it_stays() {
    for bed in [Bed::on_folder().await, Bed::on_bucket().await] {
        let kept = bed.upload(b"whole").await;
        let mut upload = bed.begin(BYTES_MAX).await.unwrap();
        upload.append(Bytes::from(content(SEGMENT + 100_000))).await.unwrap();
        // As a process that is killed drops it: not at all.
        std::mem::forget(upload);
        bed.clock.advance_ms(2 * HOUR_MS - 1);
        assert_eq!(bed.attachments.sweep().await.unwrap(), 0, "it could still be going on");
        bed.clock.advance_ms(2 * HOUR_MS + 1);
        // The sweep runs in the process that started again.
        let again = bed.objects.attach(&bed.storage, &bed.clock).await.unwrap();
        assert_eq!(again.sweep().await.unwrap(), 1);
        assert_eq!(bed.objects().len(), 1);
        assert_eq!(bed.read(&kept.uuid, 0, 5).await.unwrap(), b"whole");
    }
}

#[tokio::test]
async fn a_sweep_catches_up_over_weeks_in_steps() {
    let bed = Bed::on_folder().await;
    let mut upload = bed.begin(BYTES_MAX).await.unwrap();
    upload.append(Bytes::from(content(SEGMENT + 100_000))).await.unwrap();
    std::mem::forget(upload);
    bed.clock.advance_ms(60 * DAY_MS);
    let mut removed = 0;
    for _ in 0..8 {
        removed += bed.attachments.sweep().await.unwrap();
    }
    assert_eq!(removed, 1);
    assert_eq!(bed.objects(), []);
}

#[tokio::test]
async fn a_file_that_is_deleted_is_gone_at_once_and_without_a_trace() {
    for bed in [Bed::on_folder().await, Bed::on_bucket().await] {
        let made = bed.upload(b"short-lived").await;
        let request = AttachmentRequest { app: bytes_of(APP), uuid: made.uuid.clone() };
        bed.attachments.delete(request.clone()).await.unwrap();
        assert_eq!(kind(bed.head(APP, &made.uuid).await), Some(ErrorKind::AttachmentNotFound));
        assert_eq!(bed.objects(), []);
        bed.attachments.delete(request).await.unwrap();
    }
}

#[tokio::test]
async fn a_finish_that_is_refused_leaves_nothing() {
    let bed = Bed::on_folder().await;
    let mut upload = bed.begin(BYTES_MAX).await.unwrap();
    upload.append(Bytes::from(content(SEGMENT + 1))).await.unwrap();
    let mut request = finish();
    request.share_secret_hash = Bytes::from_static(b"short");
    assert_eq!(kind(upload.finish(request).await), Some(ErrorKind::InvalidArgument));
    bed.until_empty().await;
}
