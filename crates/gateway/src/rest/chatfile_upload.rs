//! POST `/chatfiles`: a file for a message to lead to (features.md §3.5, msync.md §7).

use axum::extract::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulkhead_model::AppUuid;
use bulkhead_proto::attachments::FinishUpload;
use bytes::Bytes;
use http::header;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::caller::Caller;
use super::chatfile_form::{self, FORM_BYTES_MAX, pixels};
use super::envelope::{Answer, Envelope};
use super::error::RestError;
use bulkhead_model::ErrorKind;

/// Random bytes of a share secret.
const SHARE_SECRET_BYTES: usize = 16;

/// Takes the file of a form; `entities` holds its UUID and its share secret. With the header `restrict-access: true` the
/// file is read with the secret only, or with app privilege.
pub(super) async fn upload(caller: Caller, request: Request) -> Answer {
    let call = &caller.call;
    let gateway = &call.gateway;
    let _place = gateway.transfers.enter(call.app_uuid)?;
    let (parts, body) = request.into_parts();
    let text = |name: header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let stated_bytes = text(header::CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    if stated_bytes.is_some_and(|bytes| bytes > gateway.settings.attachment_bytes_max + FORM_BYTES_MAX) {
        chatfile_form::throw_away(body).await;
        return Err(chatfile_form::too_large());
    }
    let named = |name: &'static str| text(header::HeaderName::from_static(name));
    let restricted = named("restrict-access").or(call.query("restrict-access")) == Some("true");
    let form = chatfile_form::read(call, text(header::CONTENT_TYPE), body).await?;
    let side = |in_form: u32, name| if in_form > 0 { in_form } else { named(name).map_or(0, pixels) };

    let mut secret = [0; SHARE_SECRET_BYTES];
    gateway.entropy.fill(&mut secret);
    let secret = URL_SAFE_NO_PAD.encode(secret);
    let finish = FinishUpload {
        content_type: form.content_type,
        file_name: form.file_name,
        restricted,
        share_secret_hash: hash_of(&secret),
        uploader: caller.username().unwrap_or_default().to_owned(),
        thumbnail_width: side(form.thumbnail_width, "thumbnail-width"),
        thumbnail_height: side(form.thumbnail_height, "thumbnail-height"),
    };
    let attachment = form.upload.finish(finish).await?;
    // The text form of a UUID is the same whatever it names.
    let uuid = AppUuid::from_slice(&attachment.uuid).map_err(|_| RestError::from(ErrorKind::Internal))?;
    let entity = json!({ "uuid": uuid.to_string(), "type": "chatfile", "share-secret": secret });
    Envelope::new(call, "post").entities(vec![entity]).respond()
}

/// What is kept of a share secret.
pub(super) fn hash_of(secret: &str) -> Bytes {
    Bytes::copy_from_slice(&Sha256::digest(secret.as_bytes()))
}
