//! Finds apps by any of their names.

use std::sync::Arc;

use bulkhead_model::{AppId, AppUuid, Error, ErrorKind, Result};
use bulkhead_proto::auth::find_app_request::By;
use bulkhead_proto::auth::{AppList, FindAppRequest, ListAppsRequest};
use bulkhead_proto::records::{App, AppName};
use bulkhead_store::{RowKey, Scan, Scope, tables};
use bytes::Bytes;

use crate::{AuthService, rows, shown};

/// Most apps of one page.
const PAGE_MAX: u32 = 100;

impl AuthService {
    pub(crate) async fn look_up_app(&self, request: FindAppRequest) -> Result<Arc<App>> {
        match request.by.ok_or(ErrorKind::InvalidArgument)? {
            By::Uuid(uuid) => self.app(AppUuid::from_slice(&uuid)?).await,
            By::AppKey(app_key) => match self.names.get(&app_key) {
                Some(uuid) => self.app(uuid).await,
                None => {
                    let app = self.read_app(&app_key).await?.ok_or(ErrorKind::AppNotFound)?;
                    self.remember(app)
                }
            },
            By::AppId(app_id) => match self.names.get(&app_id.to_ascii_lowercase()) {
                Some(uuid) => self.app(uuid).await,
                None => match self.app_named_at(rows::app_id(&app_id)).await? {
                    Some(app) if app.app_id.eq_ignore_ascii_case(&app_id) => self.remember(app),
                    _ => Err(self.elsewhere(&app_id)),
                },
            },
        }
    }

    /// The app of this identity.
    pub(crate) async fn app(&self, uuid: AppUuid) -> Result<Arc<App>> {
        if let Some(app) = self.apps.get(&uuid) {
            return Ok(app);
        }
        let changes = self.changes.count();
        let app = match self.app_named_at(rows::app_uuid(uuid)).await? {
            Some(app) if app.uuid == uuid.0.as_slice() => self.remember(app)?,
            _ => return Err(ErrorKind::AppNotFound.into()),
        };
        // What was read before a change must not outlive it.
        if self.changes.count() != changes {
            self.apps.invalidate(&uuid);
        }
        Ok(app)
    }

    /// What to answer for an App ID that is not here: where its digits say that it lives, or that there is none.
    pub(crate) fn elsewhere(&self, app_id: &str) -> Error {
        match app_id.parse::<AppId>().ok().and_then(|id| id.home()) {
            Some(home) if home != self.region => ErrorKind::WrongRegion.with(home.name()),
            _ => ErrorKind::AppNotFound.into(),
        }
    }

    pub(crate) async fn page_of_apps(&self, request: ListAppsRequest) -> Result<AppList> {
        if !(1..=PAGE_MAX).contains(&request.limit) {
            return Err(ErrorKind::InvalidArgument.with("limit must be 1-100"));
        }
        // The lowest key above `after` is `after` and a zero byte.
        let from = match request.after.as_str() {
            "" => Bytes::new(),
            after => Bytes::from([after.as_bytes(), &[0]].concat()),
        };
        let scan = Scan {
            table: &tables::APPS,
            scope: Scope::Region,
            partition: rows::APPS_PARTITION,
            from,
            to: Bytes::new(),
            descending: false,
            limit: request.limit as usize,
        };
        let rows = self.store.scan(scan).await?;
        let apps = rows.into_iter().map(|row| rows::decode(row.value).map(shown::public_app));
        Ok(AppList { apps: apps.collect::<Result<_>>()? })
    }

    /// Reads an app from the store; one that was made in another region is not served here.
    pub(crate) async fn read_app(&self, app_key: &str) -> Result<Option<App>> {
        if app_key.is_empty() {
            return Ok(None);
        }
        let app: Option<App> = rows::read(&*self.store, rows::app(app_key)).await?;
        Ok(app.filter(|app| app.region == self.region.name()))
    }

    async fn app_named_at(&self, index: RowKey) -> Result<Option<App>> {
        match rows::read::<AppName>(&*self.store, index).await? {
            Some(name) => self.read_app(&format!("{}#{}", name.org_name, name.app_name)).await,
            None => Ok(None),
        }
    }

    /// Puts an app into the caches.
    pub(crate) fn remember(&self, app: App) -> Result<Arc<App>> {
        let uuid = AppUuid::from_slice(&app.uuid)?;
        let app = Arc::new(app);
        self.names.insert(format!("{}#{}", app.org_name, app.app_name), uuid);
        self.names.insert(app.app_id.to_ascii_lowercase(), uuid);
        self.apps.insert(uuid, app.clone());
        Ok(app)
    }
}
