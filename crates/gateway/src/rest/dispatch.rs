//! From `/{org}/{app}/…` or `/app-id/{app_id}/…` (features.md §1) to an app and the path below it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bulkhead_model::{AppId, AppKey, AppUuid, Error, ErrorKind};
use bulkhead_proto::auth::{FindAppRequest, find_app_request::By};
use http::{StatusCode, Uri};
use tower::ServiceExt;

use super::Rest;
use super::call::{Call, CallParts, read_query};
use super::caller::bearer;
use super::error::RestError;
use crate::Gateway;
use crate::home::{directions, look_in_token};

/// Finds the app of a call, counts the call against the app's rate, and lets the table of routes answer it.
pub(super) async fn dispatch(State(rest): State<Arc<Rest>>, mut request: Request) -> Response {
    match enter(&rest, &mut request).await {
        Ok(()) => rest.table.clone().oneshot(request).await.into_response(),
        Err(error) => error.into_response(),
    }
}

async fn enter(rest: &Rest, request: &mut Request) -> Result<(), RestError> {
    let gateway = &rest.gateway;
    let began_ms = gateway.clock.now_ms();
    let path = request.uri().path();
    let (by, tail) = split(path)?;
    let app = gateway.auth.find_app(FindAppRequest { by: Some(by) }).await.map_err(|error| {
        let token = bearer(request.headers()).ok().flatten().unwrap_or_default();
        explain_region(gateway, look_in_token(gateway.region, error, &token))
    })?;
    let app_uuid = AppUuid::from_slice(&app.uuid).map_err(|_| RestError::from(ErrorKind::Internal))?;
    rest.limits.check_app(app_uuid, app.rest_rate_per_s)?;

    let call = Call::new(CallParts {
        gateway: Arc::clone(gateway),
        app_uuid,
        app,
        began_ms,
        path: tail.to_owned(),
        uri: format!("{}{path}", gateway.settings.public_url),
        query: read_query(request.uri())?,
    });
    let below: Uri = call.path.parse().map_err(|_| RestError::of_status(StatusCode::NOT_FOUND))?;
    *request.uri_mut() = below;
    request.extensions_mut().insert(call);
    Ok(())
}

/// The app that a path names, and what follows it, starting with `/` and without a slash at its end.
fn split(path: &str) -> Result<(By, &str), RestError> {
    let nowhere = || RestError::of_status(StatusCode::NOT_FOUND);
    let mut pieces = path.strip_prefix('/').ok_or_else(nowhere)?.splitn(3, '/');
    let (Some(first), Some(second)) = (pieces.next(), pieces.next()) else { return Err(nowhere()) };
    if first.is_empty() || second.is_empty() {
        return Err(nowhere());
    }
    let by = if first == "app-id" {
        let id: AppId = second.parse().map_err(|_| RestError::from(ErrorKind::AppNotFound))?;
        By::AppId(id.as_str().to_owned())
    } else {
        let key = AppKey::new(first, second).map_err(|_| RestError::from(ErrorKind::AppNotFound))?;
        By::AppKey(key.to_string())
    };
    let tail = match pieces.next() {
        Some(rest) => &path[path.len() - rest.len() - 1..],
        None => "/",
    };
    let tail = tail.strip_suffix('/').filter(|tail| !tail.is_empty()).unwrap_or(tail);
    Ok((by, tail))
}

/// An app of another region is answered with the public address of its home, known from configuration alone.
pub(super) fn explain_region(gateway: &Gateway, error: Error) -> RestError {
    match directions(gateway, &error, "call") {
        Some(words) => {
            let mut answer = RestError::from(ErrorKind::WrongRegion);
            answer.description = words.into();
            answer
        }
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_address_lead_to_an_app_and_the_same_tail() {
        assert_eq!(
            split("/demo/chat/users/alice").unwrap(),
            (By::AppKey("demo#chat".into()), "/users/alice")
        );
        let id = "6100000000000000000000000000000a";
        assert_eq!(
            split(&format!("/app-id/{id}/users/alice/")).unwrap(),
            (By::AppId(id.into()), "/users/alice")
        );
        assert_eq!(split("/demo/chat").unwrap().1, "/");
        assert_eq!(split("/demo/chat/").unwrap().1, "/");
    }

    #[test]
    fn what_names_no_app_is_not_found() {
        for path in ["/", "/demo", "//chat/users", "/demo//users", "/de%20mo/chat/users", "/app-id/12/users"]
        {
            assert_eq!(split(path).unwrap_err().status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
