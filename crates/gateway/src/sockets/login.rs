//! Who may open a session.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::{AppKey, Error, ErrorKind, Result, fold_username};
use bulkhead_msync::codec::LoginRequest;
use bulkhead_proto::auth::{AuthenticateRequest, FindAppRequest, Identity, find_app_request::By};
use bulkhead_proto::router::{CloseSessionRequest, OpenSessionRequest, SessionRequest};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::calls::{CALL_LIMIT, within};
use super::hub::Registration;
use super::translate;
use crate::Gateway;
use crate::home::{directions, look_in_token};

/// Whom a socket belongs to once it is logged in.
pub(super) struct Client {
    pub(super) app: Bytes,
    pub(super) user: String,
    pub(super) device: String,
    pub(super) registration: Registration,
}

impl Client {
    /// How the router's calls name this session.
    pub(super) fn session(&self) -> SessionRequest {
        SessionRequest {
            app: self.app.clone(),
            user: self.user.clone(),
            device: self.device.clone(),
            session: self.registration.handle().number,
        }
    }

    /// Tells the router that the session is over. A router that does not hear it finds out when a gateway with this
    /// session's deliveries has no taker, or when the gateway detaches.
    ///
    /// A client that was lost, rather than went, may be back in a moment and keeps its rooms that long.
    pub(super) async fn close(&self, gateway: &Gateway, lost: bool) {
        let request = CloseSessionRequest { session: Some(self.session()), lost };
        let _ = tokio::time::timeout(Duration::from_secs(5), gateway.router.close_session(request)).await;
    }
}

/// A login that succeeded, with what the session needs to know of it.
pub(super) struct Admission {
    pub(super) client: Box<Client>,
    pub(super) expires_ms: u64,
    pub(super) behind: Vec<bulkhead_msync::Queue>,
}

/// Judges a login and opens the session. Registered in the hub before the router knows of it: what is delivered
/// meanwhile waits in the outbox.
pub(super) async fn admit(
    gateway: Arc<Gateway>,
    attachment: CancellationToken,
    request: Box<LoginRequest>,
) -> Result<Admission> {
    let (app, identity) = within(CALL_LIMIT, identify(&gateway, &request)).await?;
    let number = gateway.entropy.next_u64().max(1);
    let device = if request.device.is_empty() { format!("device_{number:016x}") } else { request.device };
    let user = identity.username;
    let registration = gateway.hub.register(&app, &user, &device, number);
    let client = Box::new(Client { app: app.clone(), user, device, registration });

    let open = OpenSessionRequest {
        gateway: gateway.name.clone(),
        session: number,
        app,
        user: client.user.clone(),
        device: client.device.clone(),
        platform: request.platform.to_owned(),
        device_name: request.device_name,
        device_uuid: request.device_uuid,
        login_ext: request.login_ext,
    };
    let opened = match within(CALL_LIMIT, gateway.router.open_session(open)).await {
        // The router may have lost the session again before this socket could hear of it.
        Ok(_) if attachment.is_cancelled() => Err(ErrorKind::Unavailable.into()),
        outcome => outcome,
    };
    match opened {
        Ok(opened) => {
            let queues = translate::counts(opened.behind);
            let behind = queues.into_iter().map(|(queue, _)| queue).collect();
            Ok(Admission { client, expires_ms: identity.expires_ms, behind })
        }
        Err(error) => {
            // It may have been opened all the same.
            client.close(&gateway, true).await;
            Err(error)
        }
    }
}

async fn identify(gateway: &Gateway, request: &LoginRequest) -> Result<(Bytes, Identity)> {
    let app_key: AppKey = request.app_key.parse().map_err(|_| Error::from(ErrorKind::AppNotFound))?;
    let find = FindAppRequest { by: Some(By::AppKey(app_key.to_string())) };
    let app = gateway
        .auth
        .find_app(find)
        .await
        .map_err(|error| explain_region(gateway, look_in_token(gateway.region, error, &request.token)))?;
    let username = fold_username(&request.username);
    let judge = AuthenticateRequest {
        app: app.uuid.clone(),
        token: request.token.clone(),
        username: username.clone(),
    };
    let mut identity =
        gateway.auth.authenticate(judge).await.map_err(|error| explain_region(gateway, error))?;
    if identity.without_certificate && identity.username.is_empty() {
        identity.username = username;
    }
    // App privilege opens no socket, whoever it names.
    if identity.username.is_empty() || identity.app != app.uuid {
        return Err(ErrorKind::Unauthenticated.into());
    }
    Ok((app.uuid, identity))
}

/// A client of an app of another region is told where that is, from configuration alone.
fn explain_region(gateway: &Gateway, error: Error) -> Error {
    match directions(gateway, &error, "connect to") {
        Some(words) => ErrorKind::WrongRegion.with(words),
        None => error,
    }
}
