//! Makes an app: its identity, its certificate, its client credentials.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulkhead_model::{AppId, AppKey, AppUuid, ErrorKind, Plan, Result};
use bulkhead_proto::auth::{CreateAppRequest, CreatedApp};
use bulkhead_proto::records::{App, AppName};
use bulkhead_store::Mutation;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{AuthService, rows, shown};

impl AuthService {
    pub(crate) async fn make_app(&self, request: CreateAppRequest) -> Result<CreatedApp> {
        let app_key = AppKey::new(&request.org_name, &request.app_name)?;
        let app_id = match request.app_id.as_str() {
            "" => AppId::generate(self.region, &*self.entropy),
            brought => brought.parse()?,
        };
        let plan = if request.plan.is_empty() { "enterprise" } else { &request.plan };
        let uuid = AppUuid::generate(&*self.entropy);
        let client_secret = format!("YXA6{}", self.random_text::<24>());
        let app = App {
            uuid: Bytes::copy_from_slice(&uuid.0),
            org_name: app_key.org.clone(),
            app_name: app_key.app.clone(),
            app_id: app_id.to_string(),
            certificate_primary: self.random_certificate(),
            client_id: format!("YXA6{}", self.random_text::<16>()),
            client_secret_hash: Bytes::copy_from_slice(&Sha256::digest(&client_secret)),
            plan: Plan::parse(plan)?.to_string(),
            created_ms: self.clock.now_ms(),
            region: self.region.name().to_owned(),
            version: 1,
            ..App::default()
        };
        let taken = || ErrorKind::Conflict.with("the AppKey or App ID is taken");
        let name = AppName { org_name: app_key.org.clone(), app_name: app_key.app.clone() };
        // Index rows first: one that leads to an app which was never finished leads nowhere, and is taken over when the
        // same AppKey is made again.
        self.store.write(vec![rows::write(rows::app_uuid(uuid), &name)]).await?;
        if let Some(existing) =
            self.store.insert_if_absent(rows::put(rows::app_id(app_id.as_str()), &name)).await?
            && rows::decode::<AppName>(existing)? != name
        {
            return Err(taken());
        }
        let row = rows::put(rows::app(&app_key.to_string()), &app);
        if let Some(existing) = self.store.insert_if_absent(row).await? {
            let existing: App = rows::decode(existing)?;
            let mut leftovers = vec![Mutation::Delete(rows::app_uuid(uuid))];
            // Or else a failed attempt would keep the App ID from everybody.
            if !existing.app_id.eq_ignore_ascii_case(app_id.as_str()) {
                leftovers.push(Mutation::Delete(rows::app_id(app_id.as_str())));
            }
            self.store.write(leftovers).await?;
            return Err(taken());
        }
        Ok(CreatedApp { app: Some(shown::app(app)), client_secret })
    }

    /// 32 random hex digits.
    pub(crate) fn random_certificate(&self) -> String {
        let mut bytes = [0u8; 16];
        self.entropy.fill(&mut bytes);
        hex::encode(bytes)
    }

    /// `BYTES` random bytes as text that needs no escaping anywhere.
    pub(crate) fn random_text<const BYTES: usize>(&self) -> String {
        let mut bytes = [0u8; BYTES];
        self.entropy.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}
