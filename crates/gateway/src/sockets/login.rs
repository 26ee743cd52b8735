//! Who may open a session.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::{AppKey, Error, ErrorKind, Result, fold_username};
use bulkhead_msync::codec::LoginRequest;
use bulkhead_proto::auth::{AuthenticateRequest, FindAppRequest, Identity, find_app_request::By};
use bulkhead_proto::router::{CloseSessionRequest, OpenSessionRequest, OpenedSession, SessionRequest};
use bytes::Bytes;

use super::calls::{CALL_LIMIT, within};
use super::hub::Registration;
use super::{standing, translate};
use crate::Gateway;
use crate::home::{directions, look_in_token};

/// Whom a socket belongs to once it is logged in.
pub(super) struct Client {
    pub(super) registration: Registration,
}

impl Client {
    pub(super) fn app(&self) -> &Bytes {
        &self.registration.handle().opening.app
    }

    pub(super) fn user(&self) -> &str {
        self.registration.handle().user()
    }

    pub(super) fn device(&self) -> &str {
        self.registration.handle().device()
    }

    /// How the router's calls name this session.
    pub(super) fn session(&self) -> SessionRequest {
        self.registration.handle().session()
    }

    /// Tells the router that the session is over. A router that does not hear it finds out when a gateway with this
    /// session's deliveries has no taker, or when the gateway detaches.
    ///
    /// A client that was lost, rather than went, may be back in a moment and keeps its rooms that long.
    pub(super) async fn close(&self, gateway: &Gateway, lost: bool) {
        self.registration.handle().end();
        close_session(gateway, self.session(), lost).await;
    }
}

/// Has the router forget a session, if it can be reached.
pub(super) async fn close_session(gateway: &Gateway, session: SessionRequest, lost: bool) {
    let request = CloseSessionRequest { session: Some(session), lost };
    let _ = tokio::time::timeout(Duration::from_secs(5), gateway.router.close_session(request)).await;
}

/// A login that succeeded, with what the session needs to know of it.
pub(super) struct Admission {
    pub(super) client: Box<Client>,
    pub(super) expires_ms: u64,
    pub(super) behind: Vec<bulkhead_msync::Queue>,
}

/// Judges a login and opens the session. Registered in the hub before the router knows of it: what is delivered
/// meanwhile waits in the outbox.
pub(super) async fn admit(gateway: Arc<Gateway>, request: Box<LoginRequest>) -> Result<Admission> {
    let (app, identity) = within(CALL_LIMIT, identify(&gateway, &request)).await?;
    let number = gateway.entropy.next_u64().max(1);
    let device = if request.device.is_empty() { format!("device_{number:016x}") } else { request.device };
    let opening = OpenSessionRequest {
        gateway: gateway.name.clone(),
        session: number,
        app,
        user: identity.username,
        device,
        platform: request.platform.to_owned(),
        device_name: request.device_name,
        device_uuid: request.device_uuid,
        // For whom this login forces out, now and not when it is opened again.
        login_ext: String::new(),
    };
    let first = OpenSessionRequest { login_ext: request.login_ext, ..opening.clone() };
    let client = Box::new(Client { registration: gateway.hub.register(opening, &identity.grant) });
    // What changed while it was judged has found no session.
    if gateway.lately.concerns(client.registration.handle()) {
        within(CALL_LIMIT, standing::check_login(&gateway, client.registration.handle())).await?;
    }
    match within(CALL_LIMIT, open(&gateway, first)).await {
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

/// Opens a session at the router that this gateway is attached to when that is done.
async fn open(gateway: &Gateway, request: OpenSessionRequest) -> Result<OpenedSession> {
    loop {
        let attachment = gateway.attachment.current().await;
        let opened = gateway.router.open_session(request.clone()).await;
        // A router that is gone has lost the session, or could not take it.
        if gateway.attachment.holds(attachment) {
            return opened;
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
