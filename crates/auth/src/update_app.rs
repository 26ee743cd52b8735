//! Changes an app, one setting at a time. The region is none of them.

use bulkhead_model::{AppUuid, ErrorKind, Plan, Result};
use bulkhead_proto::auth::UpdateAppRequest;
use bulkhead_proto::auth::update_app_request::Change;
use bulkhead_proto::records::App;
use bytes::Bytes;
use prost::Message;

use crate::{AuthService, rows};

/// Attempts at a change that meets other changes of the same app.
const ATTEMPTS_MAX: usize = 8;

/// Longest time in which a message can be recalled, in milliseconds (features.md §7.2).
const RECALL_WINDOW_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;

impl AuthService {
    pub(crate) async fn change_app(&self, request: UpdateAppRequest) -> Result<App> {
        let uuid = AppUuid::from_slice(&request.uuid)?;
        let change = request.change.ok_or(ErrorKind::InvalidArgument)?;
        let found = self.app(uuid).await?;
        let key = rows::app(&format!("{}#{}", found.org_name, found.app_name));
        for _ in 0..ATTEMPTS_MAX {
            let stored = self.store.get(key.clone()).await?.ok_or(ErrorKind::AppNotFound)?;
            let mut app: App = rows::decode(stored.clone())?;
            self.apply(&change, &mut app)?;
            app.version += 1;
            let value = Bytes::from(app.encode_to_vec());
            if self.store.compare_and_set(key.clone(), Some(stored), value).await? {
                self.remember(app.clone())?;
                return Ok(app);
            }
        }
        Err(ErrorKind::Conflict.into())
    }

    fn apply(&self, change: &Change, app: &mut App) -> Result<()> {
        let no_secondary = || ErrorKind::InvalidArgument.with("the app has no secondary certificate");
        match change {
            Change::MakeSecondaryCertificate(_) => app.certificate_secondary = self.random_certificate(),
            Change::SwapCertificates(_) if app.certificate_secondary.is_empty() => return Err(no_secondary()),
            Change::SwapCertificates(_) => {
                std::mem::swap(&mut app.certificate_primary, &mut app.certificate_secondary);
            }
            Change::DeleteSecondaryCertificate(_) if app.certificate_secondary.is_empty() => {
                return Err(no_secondary());
            }
            Change::DeleteSecondaryCertificate(_) => app.certificate_secondary.clear(),
            Change::NoCertificate(on) => app.no_certificate = *on,
            Change::OpenRegistration(open) => app.open_registration = *open,
            Change::Plan(plan) => app.plan = Plan::parse(plan)?.to_string(),
            Change::RecallDisabled(disabled) => app.recall_disabled = *disabled,
            Change::RecallWindowMs(ms) if *ms > RECALL_WINDOW_MS_MAX => {
                return Err(ErrorKind::InvalidArgument.with("the recall window is at most 7 days"));
            }
            Change::RecallWindowMs(ms) => app.recall_window_ms = *ms,
            Change::RestRatePerS(rate) => app.rest_rate_per_s = *rate,
        }
        Ok(())
    }
}
