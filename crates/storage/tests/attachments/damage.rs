//! Objects that are not what they were do not open.

use std::fs;

use bulkhead_model::ErrorKind;

use crate::bed::{Bed, CHUNK, SEGMENT, content, kind};

const SEALED_CHUNK: usize = CHUNK + bulkhead_seal::CHUNK_OVERHEAD_BYTES;

/// Two files of three segments, the last one short; the change is made to the objects, then the first file is read.
async fn after(change: impl FnOnce(&[(std::path::PathBuf, Vec<u8>)])) -> Option<ErrorKind> {
    let bed = Bed::on_folder().await;
    let content = content(2 * SEGMENT + 2 * CHUNK + 100);
    let first = bed.upload(&content).await;
    let before = bed.objects();
    bed.upload(&content).await;
    let mut objects = before.clone();
    objects.extend(bed.objects().into_iter().filter(|object| !before.contains(object)));
    change(&objects);
    kind(bed.read(&first.uuid, 0, content.len() as u64).await)
}

#[tokio::test]
async fn a_file_opens_as_long_as_nothing_is_changed() {
    assert_eq!(after(|objects| assert_eq!(objects.len(), 6)).await, None);
}

#[tokio::test]
async fn a_file_that_was_cut_off_does_not_open() {
    let cut = |bytes: usize| {
        after(move |objects| {
            let (path, content) = &objects[2];
            fs::write(path, &content[..content.len() - bytes]).unwrap();
        })
    };
    assert_eq!(cut(1).await, Some(ErrorKind::Internal), "within a chunk");
    assert_eq!(cut(100 + SEALED_CHUNK - CHUNK).await, Some(ErrorKind::Internal), "at the end of a chunk");
    let missing = after(|objects| fs::remove_file(&objects[1].0).unwrap()).await;
    assert_eq!(missing, Some(ErrorKind::Internal), "a whole segment");
}

#[tokio::test]
async fn a_file_whose_parts_were_moved_does_not_open() {
    let swapped = after(|objects| {
        fs::write(&objects[0].0, &objects[1].1).unwrap();
        fs::write(&objects[1].0, &objects[0].1).unwrap();
    });
    assert_eq!(swapped.await, Some(ErrorKind::Internal), "segments");
    let swapped = after(|objects| {
        let (path, content) = &objects[0];
        let mut content = content.clone();
        content[..2 * SEALED_CHUNK].rotate_left(SEALED_CHUNK);
        fs::write(path, content).unwrap();
    });
    assert_eq!(swapped.await, Some(ErrorKind::Internal), "chunks of a segment");
}

#[tokio::test]
async fn a_file_with_parts_of_another_one_does_not_open() {
    let spliced = after(|objects| fs::write(&objects[1].0, &objects[4].1).map(drop).unwrap()).await;
    assert_eq!(spliced, Some(ErrorKind::Internal));
}

#[tokio::test]
async fn a_file_with_a_changed_bit_does_not_open() {
    let changed = after(|objects| {
        let (path, content) = &objects[0];
        let mut content = content.clone();
        content[SEALED_CHUNK / 2] ^= 1;
        fs::write(path, content).unwrap();
    });
    assert_eq!(changed.await, Some(ErrorKind::Internal));
}
