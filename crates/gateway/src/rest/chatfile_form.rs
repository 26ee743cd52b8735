//! The form of an upload (msync.md §7, server-sdk.md E): read as it comes, handed on as it comes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use bulkhead_api::AttachmentUpload;
use bulkhead_proto::attachments::BeginUpload;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::StatusCode;
use multer::{Constraints, Field, Multipart, SizeLimit};
use parking_lot::Mutex;

use super::call::Call;
use super::error::RestError;

/// What a form may have beside its file, in bytes: other fields, headers, boundaries.
pub(super) const FORM_BYTES_MAX: u64 = 64 * 1024;

/// Largest field beside the file, in bytes.
const FIELD_BYTES_MAX: usize = 1024;

/// Bytes that may come without the parser making anything of them: a head of a field that does not end.
const UNUSED_BYTES_MAX: usize = 1024 * 1024;

/// What is read and thrown away after a refusal, so that a client that still sends hears it; in bytes.
const THROWN_AWAY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The type of a file that states none.
const CONTENT_TYPE_DEFAULT: &str = "application/octet-stream";

/// Longest name or type of a file that is kept, in bytes.
const TEXT_BYTES_MAX: usize = 255;

/// A form that was read whole.
pub(super) struct Form {
    /// Everything of the file, not finished yet.
    pub(super) upload: Box<dyn AttachmentUpload>,
    pub(super) file_name: String,
    pub(super) content_type: String,
    /// Pixels; 0 when not given.
    pub(super) thumbnail_width: u32,
    pub(super) thumbnail_height: u32,
}

/// Reads the form of a request. 400 for what is no form or has no file, 413 for a file above `attachment_bytes_max`.
pub(super) async fn read(call: &Call, content_type: Option<&str>, body: Body) -> Result<Form, RestError> {
    let boundary = content_type
        .and_then(|content_type| multer::parse_boundary(content_type).ok())
        .ok_or_else(|| RestError::illegal("an upload is multipart/form-data with a field named file"))?;
    let source = Source::new(body);
    let read = read_fields(call, boundary, &source).await;
    if read.is_err() {
        source.throw_away().await;
    }
    read
}

/// 413: larger than a file may be.
pub(super) fn too_large() -> RestError {
    let mut error = RestError::of_status(StatusCode::PAYLOAD_TOO_LARGE);
    error.description = "file exceeding maximum limit".into();
    error
}

/// Reads what is left of a body that is refused unread.
pub(super) async fn throw_away(body: Body) {
    Source::new(body).throw_away().await;
}

async fn read_fields(call: &Call, boundary: String, source: &Source) -> Result<Form, RestError> {
    let file_bytes_max = call.gateway.settings.attachment_bytes_max;
    let whole = SizeLimit::new().whole_stream(file_bytes_max + FORM_BYTES_MAX);
    let constraints = Constraints::new().size_limit(whole);
    let mut fields = Multipart::with_constraints(source.clone(), boundary, constraints);
    let mut file = None;
    let (mut file_name, mut thumbnail_width, mut thumbnail_height) = (String::new(), 0, 0);
    while let Some(mut field) = fields.next_field().await.map_err(explain)? {
        source.used();
        match field.name().unwrap_or_default() {
            "file" if file.is_none() => file = Some(take_file(call, source, &mut field).await?),
            "filename" => file_name = short(&mut field).await?,
            "thumbnail-width" => thumbnail_width = pixels(&short(&mut field).await?),
            "thumbnail-height" => thumbnail_height = pixels(&short(&mut field).await?),
            _ => {
                while field.chunk().await.map_err(explain)?.is_some() {
                    source.used();
                }
            }
        }
    }
    let file = file.ok_or_else(|| RestError::illegal("the form has no field named file"))?;
    let file_name = if file_name.is_empty() { file.name } else { file_name };
    Ok(Form {
        upload: file.upload,
        file_name: tidy(&file_name),
        content_type: file.content_type,
        thumbnail_width,
        thumbnail_height,
    })
}

struct TakenFile {
    upload: Box<dyn AttachmentUpload>,
    name: String,
    content_type: String,
}

async fn take_file(call: &Call, source: &Source, field: &mut Field<'_>) -> Result<TakenFile, RestError> {
    let name = field.file_name().unwrap_or_default().to_owned();
    let content_type = field.content_type().map(ToString::to_string);
    let content_type = content_type.filter(|text| text.len() <= TEXT_BYTES_MAX);
    let bytes_max = call.gateway.settings.attachment_bytes_max;
    let attachments = &call.gateway.attachments;
    let mut upload = attachments.begin(BeginUpload { app: call.app_bytes(), bytes_max }).await?;
    let mut bytes = 0;
    while let Some(piece) = field.chunk().await.map_err(explain)? {
        source.used();
        bytes += piece.len() as u64;
        if bytes > bytes_max {
            return Err(too_large());
        }
        upload.append(piece).await?;
    }
    if bytes == 0 {
        return Err(RestError::illegal("the file is empty"));
    }
    Ok(TakenFile { upload, name, content_type: content_type.unwrap_or_else(|| CONTENT_TYPE_DEFAULT.into()) })
}

/// A field that is no file.
async fn short(field: &mut Field<'_>) -> Result<String, RestError> {
    let mut text = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(explain)? {
        if text.len() + piece.len() > FIELD_BYTES_MAX {
            return Err(RestError::illegal("a field of the form is too long"));
        }
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A number of pixels; what is none leaves the default.
pub(super) fn pixels(text: &str) -> u32 {
    text.trim().parse().unwrap_or(0)
}

/// The last part of a path, without control characters, cut to what is kept.
fn tidy(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut tidy: String = name.chars().filter(|character| !character.is_control()).collect();
    while tidy.len() > TEXT_BYTES_MAX {
        tidy.pop();
    }
    tidy
}

fn explain(error: multer::Error) -> RestError {
    match error {
        multer::Error::StreamSizeExceeded { .. } => too_large(),
        multer::Error::StreamReadFailed(_) => RestError::of_status(StatusCode::BAD_REQUEST),
        _ => RestError::illegal("the form is not valid multipart/form-data"),
    }
}

/// The body of a request as the parser takes it, at one frame each time it asks: left to itself it would read ahead
/// without a bound.
#[derive(Clone)]
struct Source {
    body: Arc<Mutex<BodyDataStream>>,
    /// Bytes since the parser last made something of them.
    unused: Arc<AtomicUsize>,
    has_given: bool,
}

impl Source {
    fn new(body: Body) -> Self {
        let body = Arc::new(Mutex::new(body.into_data_stream()));
        Self { body, unused: Arc::default(), has_given: false }
    }

    /// The parser has made something of what it read.
    fn used(&self) {
        self.unused.store(0, Ordering::Relaxed);
    }

    async fn throw_away(self) {
        let mut bytes = 0;
        let mut body = self;
        while let Some(Ok(frame)) = {
            body.used();
            body.next().await
        } {
            bytes += frame.len();
            if bytes > THROWN_AWAY_BYTES_MAX {
                return;
            }
        }
    }
}

/// The body ended early, or nothing can be made of it.
#[derive(Debug, thiserror::Error)]
#[error("the body cannot be read")]
struct Unreadable;

impl Stream for Source {
    type Item = Result<Bytes, Unreadable>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.has_given) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.body.lock().poll_next_unpin(context);
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(Unreadable))),
            Poll::Ready(Some(Ok(frame))) => {
                let unused = self.unused.fetch_add(frame.len(), Ordering::Relaxed);
                self.has_given = true;
                Poll::Ready(Some(if unused > UNUSED_BYTES_MAX { Err(Unreadable) } else { Ok(frame) }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_the_last_part_of_its_name_cut_to_its_bound() {
        assert_eq!(tidy("C:\\photos\\a.png"), "a.png");
        assert_eq!(tidy("../../etc/passwd"), "passwd");
        assert_eq!(tidy("a\r\nb\0.txt"), "ab.txt");
        assert_eq!(tidy(&"ü".repeat(200)).len(), 254);
    }
}
