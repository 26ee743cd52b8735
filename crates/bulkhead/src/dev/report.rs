use bulkhead_model::Region;
use serde::{Deserialize, Serialize};

/// One region of `dev.json`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DevRegion {
    pub(crate) region: String,
    pub(crate) rest_url: String,
    pub(crate) ws_url: String,
    pub(crate) apps: Vec<DevApp>,
}

/// One app of `dev.json`, with everything that its back end has to know.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DevApp {
    pub(crate) org_name: String,
    pub(crate) app_name: String,
    pub(crate) app_key: String,
    pub(crate) app_id: String,
    pub(crate) app_certificate: String,
    pub(crate) client_id: String,
    /// Empty when it was lost with the file that kept it; nothing else knows it.
    pub(crate) client_secret: String,
    pub(crate) users: Vec<DevUser>,
}

/// One user of `dev.json`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DevUser {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) uuid: String,
}

impl DevRegion {
    pub(crate) fn new(region: Region, rest_url: &str, apps: Vec<DevApp>) -> Self {
        // http becomes ws and https becomes wss.
        let ws_url = format!("{}/websocket", rest_url.replacen("http", "ws", 1));
        Self { region: region.name().to_owned(), rest_url: rest_url.to_owned(), ws_url, apps }
    }
}
