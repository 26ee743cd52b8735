//! The REST calls that the tests make, as a back end or a client would make them.

use anyhow::{Context, Result, bail};
use bulkhead_testkit::{App, TestRegion};
use serde_json::{Value, json};

/// The HTTP side of one app.
pub(crate) struct Rest {
    http: reqwest::Client,
    base: String,
}

/// What came back: the status and the JSON body that every answer must have.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// A file that was uploaded.
pub(crate) struct UploadedFile {
    /// Below the app.
    pub(crate) path: String,
    pub(crate) share_secret: String,
}

impl Rest {
    pub(crate) fn new(region: &TestRegion, app: &App) -> Self {
        let base = format!("{}/{}/{}", region.rest_url(), app.org_name, app.app_name);
        Self { http: reqwest::Client::new(), base }
    }

    /// One call; fails when the answer is not JSON.
    pub(crate) async fn call(&self, method: &str, path: &str, token: &str, body: &Value) -> Result<Answer> {
        let method = method.parse::<reqwest::Method>()?;
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).with_context(|| format!("{path}: {status} is not JSON"))?;
        Ok(Answer { status, body })
    }

    /// The answer of a call that must succeed.
    pub(crate) async fn ok(&self, method: &str, path: &str, token: &str, body: &Value) -> Result<Value> {
        let answer = self.call(method, path, token, body).await?;
        if answer.status != 200 {
            bail!("{method} {path}: {} {}", answer.status, answer.body);
        }
        Ok(answer.body)
    }

    /// Uploads a file that is read with its share secret only.
    pub(crate) async fn upload(&self, token: &str, name: &str, content: &[u8]) -> Result<UploadedFile> {
        let head =
            format!("--form\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
        let form = [head.as_bytes(), content, b"\r\n--form--\r\n"].concat();
        let request = self.http.post(format!("{}/chatfiles", self.base)).bearer_auth(token).body(form);
        let request = request.header("content-type", "multipart/form-data; boundary=form");
        let answer = request.header("restrict-access", "true").send().await?.error_for_status()?;
        let body: Value = serde_json::from_str(&answer.text().await?)?;
        let file = &body["entities"][0];
        let path = format!("/chatfiles/{}", text_of(file, "uuid")?);
        Ok(UploadedFile { path, share_secret: text_of(file, "share-secret")? })
    }

    /// The content of a file.
    pub(crate) async fn download(&self, path: &str, share_secret: &str) -> Result<Vec<u8>> {
        let request = self.http.get(format!("{}{path}", self.base)).header("share-secret", share_secret);
        Ok(request.send().await?.error_for_status()?.bytes().await?.to_vec())
    }

    /// An app token for client id and secret.
    pub(crate) async fn app_token(&self, app: &App) -> Result<String> {
        let grant = json!({
            "grant_type": "client_credentials", "client_id": app.client_id, "client_secret": app.client_secret,
        });
        text_of(&self.ok("POST", "/token", "", &grant).await?, "access_token")
    }

    /// A user token for the password that the region made.
    pub(crate) async fn user_token(&self, app: &App, username: &str) -> Result<String> {
        let user = app.users.iter().find(|user| user.username == username).context("no such user")?;
        let grant = json!({"grant_type": "password", "username": username, "password": user.password});
        text_of(&self.ok("POST", "/token", "", &grant).await?, "access_token")
    }

    /// A user token for any user, made when it does not exist.
    pub(crate) async fn any_user_token(&self, app_token: &str, username: &str) -> Result<String> {
        let grant = json!({"grant_type": "inherit", "username": username, "autoCreateUser": true});
        text_of(&self.ok("POST", "/token", app_token, &grant).await?, "access_token")
    }

    /// Every message of a user's history with a peer, oldest first, as (id, decoded Meta).
    pub(crate) async fn history(
        &self,
        user: &str,
        token: &str,
        peer: &str,
    ) -> Result<Vec<bulkhead_msync::proto::Meta>> {
        use base64::Engine;
        use prost::Message;
        let mut start = "-1".to_owned();
        let mut metas = Vec::new();
        loop {
            let request = json!({
                "queue": format!("{peer}@easemob.com"), "start": start, "pull_number": 50, "is_positive": true, "end": -1,
            });
            let path = format!("/users/{user}/messageroaming");
            let page = self.ok("POST", &path, token, &request).await?;
            let page = &page["data"];
            for message in page["msgs"].as_array().context("no msgs")? {
                let text = message["msg"].as_str().context("no msg")?;
                let bytes = base64::engine::general_purpose::STANDARD.decode(text)?;
                metas.push(bulkhead_msync::proto::Meta::decode(bytes.as_slice())?);
            }
            if page["is_last"].as_bool().context("no is_last")? {
                return Ok(metas);
            }
            start = page["next_key"].as_str().context("no next_key")?.to_owned();
        }
    }
}

fn text_of(body: &Value, field: &str) -> Result<String> {
    Ok(body[field].as_str().with_context(|| format!("no {field} in the answer"))?.to_owned())
}
