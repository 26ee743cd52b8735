//! The small form of an image (features.md §3.5), made when it is asked for and kept in memory for a while.
//!
//! What is no PNG or JPEG, does not decode, or would take too much is answered with the original, which is what a client
//! gets of a video too.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::AppUuid;
use bulkhead_proto::records::Attachment;
use bytes::Bytes;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::call::Call;
use super::chatfile_transfer::Transfer;

/// Width and height where the upload named none, in pixels (features.md §3.5).
const SIDE_DEFAULT: u32 = 170;

/// Largest width and height, in pixels.
const SIDE_MAX: u32 = 1024;

/// Largest original, in bytes.
const ORIGINAL_BYTES_MAX: u64 = 20 * 1024 * 1024;

/// Largest width and height of an original, in pixels.
const ORIGINAL_SIDE_MAX: u32 = 10_000;

/// Memory that the pixels of an original may take, in bytes: 40 megapixels without transparency.
const DECODED_BYTES_MAX: u64 = 120 * 1024 * 1024;

/// Images that are made smaller at one time; each may take the memory above.
const DECODED_TOGETHER_MAX: usize = 2;

/// How long a request waits for its turn before it gets the original.
const TURN_LIMIT: Duration = Duration::from_secs(3);

/// Memory of thumbnails that are kept, in bytes.
const KEPT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// How long one is kept.
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);

/// The thumbnails of one gateway.
pub(crate) struct Thumbnails {
    turns: Semaphore,
    made: Cache<(AppUuid, Bytes), Bytes>,
}

impl Thumbnails {
    pub(crate) fn new() -> Self {
        let made = Cache::builder()
            .max_capacity(KEPT_BYTES_MAX)
            .weigher(|_: &(AppUuid, Bytes), small: &Bytes| u32::try_from(small.len()).unwrap_or(u32::MAX))
            .time_to_live(KEPT_FOR)
            .build();
        Self { turns: Semaphore::new(DECODED_TOGETHER_MAX), made }
    }
}

/// The small form of an attachment, in the format of the original; `None` when the original has to do.
pub(super) async fn of(call: &Call, attachment: &Attachment) -> Option<Bytes> {
    let format = format_of(&attachment.content_type).filter(|_| attachment.bytes <= ORIGINAL_BYTES_MAX)?;
    let thumbnails: &Arc<Thumbnails> = &call.gateway.thumbnails;
    let key = (call.app_uuid, attachment.uuid.clone());
    if let Some(made) = thumbnails.made.get(&key) {
        return Some(made);
    }
    let _turn = tokio::time::timeout(TURN_LIMIT, thumbnails.turns.acquire()).await.ok()?.ok()?;
    let original = Transfer::new(call, attachment.uuid.clone(), 0, attachment.bytes).ok()?;
    let original = original.collect().await.ok()?;
    let sides = (side(attachment.thumbnail_width), side(attachment.thumbnail_height));
    let small = tokio::task::spawn_blocking(move || smaller(&original, format, sides)).await.ok()??;
    let small = Bytes::from(small);
    thumbnails.made.insert(key, small.clone());
    Some(small)
}

fn format_of(content_type: &str) -> Option<ImageFormat> {
    match content_type {
        "image/png" => Some(ImageFormat::Png),
        "image/jpeg" | "image/jpg" => Some(ImageFormat::Jpeg),
        _ => None,
    }
}

fn side(asked: u32) -> u32 {
    if asked == 0 { SIDE_DEFAULT } else { asked.min(SIDE_MAX) }
}

/// The image within those sides, in its own proportions and the right way up; `None` for what is small already or cannot
/// be decoded within the limits.
fn smaller(original: &[u8], format: ImageFormat, (width, height): (u32, u32)) -> Option<Vec<u8>> {
    let mut reader = ImageReader::with_format(Cursor::new(original), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(ORIGINAL_SIDE_MAX);
    limits.max_image_height = Some(ORIGINAL_SIDE_MAX);
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let (original_width, original_height) = decoder.dimensions();
    if (original_width <= width && original_height <= height) || decoder.total_bytes() > DECODED_BYTES_MAX {
        return None;
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut small = DynamicImage::from_decoder(decoder).ok()?.thumbnail(width, height);
    small.apply_orientation(orientation);
    let mut bytes = Cursor::new(Vec::new());
    small.write_to(&mut bytes, format).ok()?;
    Some(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let pixel = |x: u32, y: u32| image::Rgb([x as u8, y as u8, (x ^ y) as u8]);
        let image = DynamicImage::from(image::RgbImage::from_fn(width, height, pixel));
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn an_image_gets_smaller_in_its_own_proportions() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let small = smaller(&image(680, 340, format), format, (170, 170)).unwrap();
            let small = image::load_from_memory_with_format(&small, format).unwrap();
            assert_eq!((small.width(), small.height()), (170, 85));
        }
    }

    #[test]
    fn what_is_small_or_no_image_or_too_much_stays_as_it_is() {
        let format = ImageFormat::Png;
        assert!(smaller(&image(170, 100, format), format, (170, 170)).is_none());
        assert!(smaller(b"no image", format, (170, 170)).is_none());
        let cut = image(400, 400, format);
        assert!(smaller(&cut[..cut.len() / 2], format, (170, 170)).is_none());
        assert!(smaller(&image(ORIGINAL_SIDE_MAX + 1, 1, format), format, (170, 170)).is_none());
        assert!(smaller(&image(400, 400, ImageFormat::Jpeg), format, (170, 170)).is_none());
    }

    #[test]
    fn sides_have_a_default_and_a_bound() {
        assert_eq!([0, 1, 1024, 1025].map(side), [170, 1, 1024, 1024]);
    }
}
