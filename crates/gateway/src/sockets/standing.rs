//! Sessions that may not stay: the auth service tells what has changed, the sessions that it may be about are checked there,
//! and those that do not stand are closed. No router has a part in it, so that a session between two routers is
//! closed as soon as any other.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::auth::{ChangedList, ChangesRequest, CheckGrantsRequest, GrantStanding, HeldGrant};
use bulkhead_proto::records::AuthChange;
use bulkhead_proto::router::KickReason;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::calls::{CALL_LIMIT, within};
use super::hub::SessionHandle;
use super::lately::is_about;
use super::translate;
use crate::Gateway;

/// How long the auth service may let a question for changes wait, in milliseconds.
const WAIT_MS: u32 = 2_000;

/// How long the answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The pause after a question that was not answered.
const PAUSE: Duration = Duration::from_millis(100);

/// Sessions that are checked with one call.
const BATCH: usize = 500;

/// Calls at one time.
const CALLS_AT_ONCE: usize = 8;

/// Sessions to be checked, by their app and by whether only the app has changed.
type Concerned = HashMap<(Bytes, bool), Vec<Arc<SessionHandle>>>;

/// Closes what may not stay until told to stop.
pub(crate) async fn watch_grants(gateway: Weak<Gateway>) {
    // From now on: what changed before any session was let in is nobody's matter here.
    let Some(heard_ms) = gateway.upgrade().map(|gateway| gateway.clock.now_ms()) else { return };
    let mut heard = ChangedList { heard_ms, ..ChangedList::default() };
    loop {
        let Some(auth) = gateway.upgrade().map(|gateway| Arc::clone(&gateway.auth)) else { return };
        let ChangedList { instance, sequence, heard_ms, .. } = heard;
        let request = ChangesRequest { instance, sequence, heard_ms, wait_ms: WAIT_MS };
        match within(ANSWER_LIMIT, auth.changes(request)).await {
            Ok(told) => {
                let Some(gateway) = gateway.upgrade() else { return };
                look_at(&gateway, &told.changes, told.missed).await;
                heard = ChangedList { changes: Vec::new(), ..told };
            }
            Err(error) => {
                tracing::warn!(%error, "what changes about credentials cannot be heard");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Checks a login that may have been judged by what was before a change. `TokenExpired` when it does not stand.
pub(super) async fn check_login(gateway: &Gateway, session: &SessionHandle) -> Result<()> {
    let standings = ask(gateway, &session.opening.app, false, &[session]).await?;
    match standings[..] {
        [GrantStanding::Stands] => Ok(()),
        _ => Err(ErrorKind::TokenExpired.into()),
    }
}

async fn look_at(gateway: &Gateway, changes: &[AuthChange], missed: bool) {
    if changes.is_empty() && !missed {
        return;
    }
    gateway.lately.add(changes, missed);
    let mut batches = Vec::new();
    for ((app, app_only), sessions) in concerned(gateway, changes, missed) {
        batches.extend(sessions.chunks(BATCH).map(|batch| (app.clone(), app_only, batch.to_vec())));
    }
    stream::iter(batches)
        .for_each_concurrent(CALLS_AT_ONCE, async |(app, app_only, batch)| {
            check(gateway, &app, app_only, &batch).await;
        })
        .await;
}

fn concerned(gateway: &Gateway, changes: &[AuthChange], missed: bool) -> Concerned {
    let mut concerned = Concerned::new();
    let mut add = |session: Arc<SessionHandle>, app_only| {
        concerned.entry((session.opening.app.clone(), app_only)).or_default().push(session);
    };
    if missed {
        gateway.hub.sessions().into_iter().for_each(|session| add(session, false));
        return concerned;
    }
    let (of_users, of_many): (Vec<_>, Vec<_>) = changes.iter().partition(|change| !change.user.is_empty());
    for change in of_users {
        gateway
            .hub
            .sessions_of(&change.app, &change.user)
            .into_iter()
            .for_each(|session| add(session, false));
    }
    if of_many.is_empty() {
        return concerned;
    }
    for session in gateway.hub.sessions() {
        let mut about = of_many.iter().filter(|change| is_about(change, &session)).peekable();
        if about.peek().is_some() {
            let app_only = about.all(|change| change.token.is_empty());
            add(session, app_only);
        }
    }
    concerned
}

/// Checks sessions of one app, however long it takes to reach the auth service, and closes those that do not stand.
async fn check(gateway: &Gateway, app: &Bytes, app_only: bool, sessions: &[Arc<SessionHandle>]) {
    let held: Vec<&SessionHandle> = sessions.iter().map(|session| &**session).collect();
    let standings = loop {
        match within(CALL_LIMIT, ask(gateway, app, app_only, &held)).await {
            Ok(standings) => break standings,
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                tracing::error!(%error, "sessions cannot be checked; their clients have to log in again");
                held.iter().for_each(|session| session.outbox.forget());
                return;
            }
        }
    };
    for (session, standing) in held.into_iter().zip(standings) {
        let (reason, label) = match standing {
            GrantStanding::Stands => continue,
            GrantStanding::Ended => (KickReason::OtherDevice, "token"),
            GrantStanding::PasswordChanged => (KickReason::PasswordChanged, "password"),
            GrantStanding::Deactivated => (KickReason::OtherDevice, "deactivated"),
            GrantStanding::Removed => (KickReason::UserRemoved, "removed"),
        };
        metrics::counter!("bulkhead_gateway_sessions_ended_total", "reason" => label).increment(1);
        session.outbox.kick(translate::operation(reason), "");
    }
}

async fn ask(
    gateway: &Gateway,
    app: &Bytes,
    app_only: bool,
    sessions: &[&SessionHandle],
) -> Result<Vec<GrantStanding>> {
    let held = |session: &&SessionHandle| HeldGrant {
        username: session.user().to_owned(),
        grant: Bytes::copy_from_slice(&session.grant),
    };
    let grants = sessions.iter().map(held).collect();
    let request = CheckGrantsRequest { app: app.clone(), grants, app_only };
    let standings: Vec<_> = gateway.auth.check_grants(request).await?.standings().collect();
    if standings.len() == sessions.len() {
        Ok(standings)
    } else {
        Err(ErrorKind::Internal.with("not every grant was answered"))
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_msync::codec::LoginRequest;
    use bulkhead_proto::auth::Grant;
    use bulkhead_proto::router::OpenSessionRequest;
    use prost::Message;

    use super::super::hub::Registration;
    use super::super::login::admit;
    use super::*;
    use crate::rest::fakes::{ALICE_TOKEN, APP, Fakes};

    fn register(gateway: &Gateway, user: &str, token: &'static [u8], source: &'static [u8]) -> Registration {
        let opening = OpenSessionRequest {
            app: Bytes::copy_from_slice(&APP.0),
            user: user.into(),
            ..OpenSessionRequest::default()
        };
        let (token, source) = (Bytes::from_static(token), Bytes::from_static(source));
        gateway.hub.register(opening, &Grant { token, source, ..Grant::default() }.encode_to_vec())
    }

    fn change(user: &str, token: &'static [u8]) -> AuthChange {
        let app = Bytes::copy_from_slice(&APP.0);
        AuthChange { app, user: user.into(), token: Bytes::from_static(token), ..AuthChange::default() }
    }

    fn is_kicked(session: &Registration) -> bool {
        let context = std::task::Context::from_waker(std::task::Waker::noop());
        !session.handle().outbox.take(&context).events.is_empty()
    }

    #[tokio::test]
    async fn those_are_checked_whom_a_change_may_be_about_and_closed_if_they_do_not_stand() {
        for (change, missed, checked, app_only) in [
            (Some(change("bob", b"")), false, [false, false, true], false),
            (Some(change("", b"one")), false, [true, false, false], false),
            (Some(change("", b"source")), false, [false, true, false], false),
            (Some(change("", b"")), false, [true, true, true], true),
            (
                Some(AuthChange { app: Bytes::from_static(&[9; 16]), ..change("", b"") }),
                false,
                [false; 3],
                false,
            ),
            (None, true, [true, true, true], false),
            (None, false, [false, false, false], false),
        ] {
            let changes: Vec<_> = change.into_iter().collect();
            let fakes = Fakes::new();
            let gateway = fakes.gateway();
            let sessions = [
                register(&gateway, "alice", b"one", b""),
                register(&gateway, "alice", b"two", b"source"),
                register(&gateway, "bob", b"three", b""),
            ];
            look_at(&gateway, &changes, missed).await;
            assert_eq!(sessions.each_ref().map(is_kicked), [false; 3], "they stand");
            let asked = fakes.auth.checked.lock().clone();
            let count: usize = asked.iter().map(|(users, _)| users.len()).sum();
            assert_eq!(count, checked.iter().filter(|checked| **checked).count(), "{changes:?}");
            assert!(asked.iter().all(|(_, only)| *only == app_only), "{changes:?}");
            *fakes.auth.standing.lock() = GrantStanding::Ended;
            look_at(&gateway, &changes, missed).await;
            assert_eq!(sessions.each_ref().map(is_kicked), checked, "{changes:?}");
        }
    }

    #[tokio::test]
    async fn a_login_is_checked_again_for_a_change_that_it_may_have_been_judged_before() {
        let login = || {
            Box::new(LoginRequest {
                app_key: "demo#chat".into(),
                username: "alice".into(),
                token: ALICE_TOKEN.into(),
                device: "webim_a".into(),
                platform: "web",
                device_name: String::new(),
                device_uuid: String::new(),
                login_ext: String::new(),
            })
        };
        let fakes = Fakes::new();
        let gateway = fakes.gateway();
        *fakes.auth.standing.lock() = GrantStanding::Ended;
        gateway.lately.add(&[change("bob", b"")], false);
        assert!(!gateway.lately.concerns(register(&gateway, "alice", b"one", b"").handle()));
        gateway.lately.add(&[change("alice", b"")], false);
        let refused = admit(Arc::clone(&gateway), login()).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::TokenExpired);
        assert_eq!(*fakes.auth.checked.lock(), [(vec!["alice".to_owned()], false)]);
        assert!(gateway.hub.sessions().is_empty(), "nothing is left of it");
    }

    #[tokio::test]
    async fn whoever_missed_changes_looks_at_every_login_for_a_while() {
        let fakes = Fakes::new();
        let gateway = fakes.gateway();
        let session = register(&gateway, "alice", b"one", b"");
        assert!(!gateway.lately.concerns(session.handle()));
        gateway.lately.add(&[], true);
        assert!(gateway.lately.concerns(session.handle()));
    }
}
