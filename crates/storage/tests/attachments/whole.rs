//! What was uploaded is what is read, whole and in parts, and nobody else's.

use bulkhead_model::{ErrorKind, Region};
use bulkhead_testkit::files_that_contain;

use crate::bed::{APP, Bed, CHUNK, NOW_MS, OTHER_APP, SEGMENT, content, kind};

async fn files_of_all_sizes_read_back(bed: Bed) {
    let sizes = [
        1,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        16 * CHUNK,
        17 * CHUNK + 5,
        SEGMENT,
        SEGMENT + 1,
        2 * SEGMENT + CHUNK,
    ];
    for size in sizes {
        let content = content(size);
        let made = bed.upload(&content).await;
        let found = bed.head(APP, &made.uuid).await.unwrap();
        assert_eq!(found, made);
        assert_eq!((found.bytes, found.created_ms), (size as u64, NOW_MS));
        assert!(bed.read(&made.uuid, 0, size as u64).await.unwrap() == content, "{size} bytes");

        let mut ends = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, size / 2, size];
        ends.sort_unstable();
        let pairs = ends.windows(2).chain(ends.windows(3)).map(|pair| (pair[0], pair[pair.len() - 1]));
        for (from, to) in pairs.filter(|(from, to)| from < to && *to <= size) {
            let part = bed.read(&made.uuid, from as u64, (to - from) as u64).await.unwrap();
            assert!(part == content[from..to], "{from}..{to} of {size}");
        }
    }
    assert_eq!(bed.objects().len(), sizes.iter().map(|size| size.div_ceil(SEGMENT)).sum::<usize>());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_all_sizes_read_back_from_a_folder() {
    files_of_all_sizes_read_back(Bed::on_folder().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_all_sizes_read_back_from_a_bucket() {
    files_of_all_sizes_read_back(Bed::on_bucket().await).await;
}

#[tokio::test]
async fn a_file_is_known_to_its_own_app_only() {
    let bed = Bed::on_folder().await;
    let made = bed.upload(b"for one app").await;
    assert_eq!(kind(bed.head(OTHER_APP, &made.uuid).await), Some(ErrorKind::AttachmentNotFound));
    let unknown = vec![9; 16].into();
    assert_eq!(kind(bed.head(APP, &unknown).await), Some(ErrorKind::AttachmentNotFound));
    assert_eq!(kind(bed.read(&unknown, 0, 1).await), Some(ErrorKind::AttachmentNotFound));
}

#[tokio::test]
async fn neither_a_file_nor_what_is_known_of_it_is_readable_at_rest() {
    for bed in [Bed::on_folder().await, Bed::on_bucket().await] {
        let canary = b"a canary in a file that is longer than a block of the cipher";
        bed.upload(&canary.repeat(2000)).await;
        let folders = [bed.folder.path().to_owned(), bed.objects.folder()];
        for folder in folders {
            for secret in [&canary[..], b"alice", b"a.png", b"image/png"] {
                assert_eq!(files_that_contain(&folder, secret), Vec::<std::path::PathBuf>::new());
            }
        }
    }
}

#[tokio::test]
async fn a_place_belongs_to_the_region_that_used_it_first() {
    for bed in [Bed::on_folder().await, Bed::on_bucket().await] {
        assert!(bed.objects.attach(&bed.storage, &bed.clock).await.is_ok(), "it is still our own");
        let elsewhere = tempfile::tempdir().unwrap();
        let storage = crate::bed::storage(&elsewhere, Region::Frankfurt, &bed.clock).await;
        let refused = bed.objects.attach(&storage, &bed.clock).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        assert_eq!(refused.message(), "storage.objects: the object store belongs to region singapore");

        std::fs::write(bed.objects.folder().join("bulkhead-region"), "something else\n").unwrap();
        let refused = bed.objects.attach(&bed.storage, &bed.clock).await.err().unwrap();
        assert!(refused.message().contains("not one that this version understands"), "{refused}");
    }
}
