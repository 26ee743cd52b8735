//! GET `/chatfiles/{uuid}` (features.md §3.5, msync.md §7).
//!
//! A link works for who knows the share secret, with or without a token: pages show images by their link alone. Without
//! the secret a token is needed, and for a restricted file one with app privilege (server SDKs send no secret).

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use bulkhead_model::{AppUuid, ErrorKind};
use bulkhead_proto::attachments::AttachmentRequest;
use bulkhead_proto::records::Attachment;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use subtle::ConstantTimeEq;

use super::call::Call;
use super::caller::MaybeCaller;
use super::chatfile_range::{Asked, asked};
use super::chatfile_thumbnail as thumbnail;
use super::chatfile_transfer::Transfer;
use super::chatfile_upload::hash_of;
use super::error::RestError;

/// How long a browser may keep a file without asking again, in seconds. The content of a file never changes.
const CACHE_S: u32 = 60 * 60;

/// Serves a file or a range of it. 401 without token and secret, 403 with the wrong secret, 404
/// `storage_object_not_found` or `file_expired`, 416.
pub(super) async fn download(
    method: Method,
    caller: MaybeCaller,
    Path(uuid): Path<String>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let call = &caller.call;
    let secret = headers.get("share-secret").and_then(|value| value.to_str().ok());
    let secret = secret.or(call.query("share-secret")).filter(|secret| !secret.is_empty());
    if secret.is_none() && caller.caller.is_none() {
        return Err(ErrorKind::Unauthenticated.into());
    }
    let uuid = read_uuid(&uuid).ok_or_else(|| RestError::from(ErrorKind::AttachmentNotFound))?;
    let request = AttachmentRequest { app: call.app_bytes(), uuid: uuid.clone() };
    let attachment = call.gateway.attachments.head(request).await?;
    judge(&caller, &attachment, secret)?;

    if is_thumbnail_wanted(call, &headers)
        && let Some(small) = thumbnail::of(call, &attachment).await
    {
        let etag = format!("\"{}-thumbnail\"", text_of(&uuid));
        let mut response = Response::new(Body::from(small.clone()));
        describe(response.headers_mut(), &attachment, &etag, small.len() as u64);
        return Ok(response);
    }
    let etag = format!("\"{}\"", text_of(&uuid));
    let (status, offset, length) = match asked(&headers, attachment.bytes, &etag) {
        Asked::Whole => (StatusCode::OK, 0, attachment.bytes),
        Asked::Part { offset, length } => (StatusCode::PARTIAL_CONTENT, offset, length),
        Asked::Nothing => return Ok(out_of_range(attachment.bytes)),
    };
    let body = match method {
        Method::HEAD => Body::empty(),
        _ => Transfer::new(call, uuid, offset, length)?.into_body().await?,
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    describe(response.headers_mut(), &attachment, &etag, length);
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {offset}-{}/{}", offset + length - 1, attachment.bytes);
        response.headers_mut().insert(header::CONTENT_RANGE, ascii(range));
    }
    Ok(response)
}

/// A header or a query parameter asks for the small form of an image.
fn is_thumbnail_wanted(call: &Call, headers: &HeaderMap) -> bool {
    let header = headers.get("thumbnail").is_some_and(|value| value == "true");
    header || call.query("thumbnail") == Some("true")
}

/// Whether the caller may read the file.
fn judge(caller: &MaybeCaller, attachment: &Attachment, secret: Option<&str>) -> Result<(), RestError> {
    let is_right = secret.map(|secret| hash_of(secret).ct_eq(&attachment.share_secret_hash).into());
    let has_app_privilege = caller.caller.as_ref().is_some_and(|caller| caller.require_app().is_ok());
    match is_right {
        Some(true) => Ok(()),
        // A wrong secret is no worse than none where none is needed.
        _ if !attachment.restricted && caller.caller.is_some() => Ok(()),
        None if has_app_privilege => Ok(()),
        _ => Err(no_permission()),
    }
}

/// 403; the web SDK tells it from other refusals by exactly this text.
fn no_permission() -> RestError {
    RestError::new(
        StatusCode::FORBIDDEN,
        "forbidden_op",
        "EasemobForbiddenOpException",
        "chatfile no permission",
    )
}

fn out_of_range(file_bytes: u64) -> Response {
    let mut response = RestError::of_status(StatusCode::RANGE_NOT_SATISFIABLE).into_response();
    response.headers_mut().insert(header::CONTENT_RANGE, ascii(format!("bytes */{file_bytes}")));
    response
}

/// What is said of a file. Its type was the uploader's word, so nothing a browser would run is shown as a page.
fn describe(headers: &mut HeaderMap, attachment: &Attachment, etag: &str, length: u64) {
    let content_type = HeaderValue::from_str(&attachment.content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_DISPOSITION, disposition(attachment));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, ascii(etag.to_owned()));
    headers.insert(header::CACHE_CONTROL, ascii(format!("private, max-age={CACHE_S}")));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        HeaderName::from_static("content-security-policy"),
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
}

/// Pictures, sound and video are shown, everything else is saved; the name as in RFC 6266.
fn disposition(attachment: &Attachment) -> HeaderValue {
    let shown = ["image/png", "image/jpeg", "image/gif", "image/webp", "audio/", "video/"];
    let kind = if shown.iter().any(|kind| attachment.content_type.starts_with(kind)) {
        "inline"
    } else {
        "attachment"
    };
    if attachment.file_name.is_empty() {
        return HeaderValue::from_static(kind);
    }
    let mut text = format!("{kind}; filename*=UTF-8''");
    for byte in attachment.file_name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    ascii(text)
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::from_str(&text).expect("it was put together from visible ASCII")
}

/// The 16 bytes of a UUID in its text form.
fn read_uuid(text: &str) -> Option<Bytes> {
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    let is_hex = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| is_hex)?;
    Some(Bytes::copy_from_slice(&number.to_be_bytes()))
}

/// The text form of a UUID, which is the same whatever it names.
fn text_of(uuid: &[u8]) -> String {
    AppUuid::from_slice(uuid).map(|uuid| uuid.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_reads_from_its_text_and_nothing_else_does() {
        let text = "5fd74830-0000-4000-8000-000000000001";
        assert_eq!(text_of(&read_uuid(text).unwrap()), text);
        for wrong in [
            "",
            "5fd74830",
            "../../etc/passwd",
            "5fd74830-0000-4000-8000-00000000000g",
            "+0000000000000000000000000000000",
        ] {
            assert_eq!(read_uuid(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn pictures_are_shown_and_what_a_browser_would_run_is_saved() {
        let of = |content_type: &str, file_name: &str| {
            let attachment = Attachment {
                content_type: content_type.into(),
                file_name: file_name.into(),
                ..Attachment::default()
            };
            disposition(&attachment).to_str().unwrap().to_owned()
        };
        assert_eq!(of("image/png", ""), "inline");
        assert_eq!(of("image/svg+xml", ""), "attachment");
        assert_eq!(of("text/html", "a b\".html"), "attachment; filename*=UTF-8''a%20b%22.html");
        assert_eq!(of("video/mp4", "ü.mp4"), "inline; filename*=UTF-8''%C3%BC.mp4");
    }
}
