//! A whole region on a clock that is moved: what REST and sessions are served after a change of plan.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead::{RegionInProcess, RegionOptions};
use bulkhead_api::RouterApi;
use bulkhead_gateway::{Front, GatewaySettings};
use bulkhead_model::{ManualClock, Region, SeededEntropy};
use bulkhead_proto::auth::update_app_request::Change;
use bulkhead_proto::auth::{CreateAppRequest, UpdateAppRequest};
use bulkhead_proto::records::App;
use bulkhead_proto::router::{PullRequest, Queue, SessionRequest};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

const NOW_MS: u64 = 1_800_000_000_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

struct Bed {
    region: RegionInProcess,
    clock: Arc<ManualClock>,
    app: App,
    client_secret: String,
    base: String,
    http: reqwest::Client,
}

impl Bed {
    async fn start(folder: &Path) -> Self {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let region = RegionInProcess::start(RegionOptions {
            region: Region::Singapore,
            data_dir: folder.to_owned(),
            region_key: Zeroizing::new([7; 32]),
            gateway: GatewaySettings::new(address.clone()),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(1)),
        });
        let region = region.await.map_err(|_| "the region does not start").unwrap();
        region.serve(listener, Front::default());
        let create = CreateAppRequest {
            org_name: "demo".into(),
            app_name: "chat".into(),
            plan: "pro".into(),
            ..CreateAppRequest::default()
        };
        let created = region.auth.create_app(create).await.unwrap();
        let (app, client_secret) = (created.app.unwrap(), created.client_secret);
        let base = format!("{address}/demo/chat");
        Self { region, clock, app, client_secret, base, http: reqwest::Client::new() }
    }

    async fn set_plan(&self, plan: &str) {
        let change = Some(Change::Plan(plan.into()));
        self.region.auth.update_app(UpdateAppRequest { uuid: self.app.uuid.clone(), change }).await.unwrap();
    }

    async fn call(&self, method: reqwest::Method, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Value {
        let (status, answer) = self.call(reqwest::Method::POST, path, token, &body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(reqwest::Method::GET, path, &self.app_token().await, &Value::Null).await
    }

    async fn app_token(&self) -> String {
        let (id, secret) = (&self.app.client_id, &self.client_secret);
        let grant = json!({"grant_type": "client_credentials", "client_id": id, "client_secret": secret});
        text(&self.post("/token", "", grant).await["access_token"])
    }

    /// From alice to bob; answers the id.
    async fn send(&self) -> String {
        let message = json!({"from": "alice", "to": ["bob"], "type": "txt", "body": {"msg": "hello"}});
        let sent = self.post("/messages/users", &self.app_token().await, message).await;
        text(&sent["data"]["bob"])
    }

    /// How many messages bob's history with alice has.
    async fn history(&self) -> usize {
        let grant = json!({"grant_type": "inherit", "username": "bob"});
        let token = text(&self.post("/token", &self.app_token().await, grant).await["access_token"]);
        let request = json!({"queue": "alice@easemob.com", "start": "-1", "pull_number": 50, "end": -1});
        let page = self.post("/users/bob/messageroaming", &token, request).await;
        page["data"]["msgs"].as_array().unwrap().len()
    }

    async fn upload(&self) -> String {
        let head = "--form\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n";
        let request = self.http.post(format!("{}/chatfiles", self.base)).bearer_auth(self.app_token().await);
        let request = request.header("content-type", "multipart/form-data; boundary=form");
        let answer = request.body(format!("{head}content\r\n--form--\r\n")).send().await.unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        text(&answer["entities"][0]["uuid"])
    }

    /// The status of a file and that of its thumbnail.
    async fn file(&self, uuid: &str) -> [u16; 2] {
        let token = self.app_token().await;
        let mut found = [0; 2];
        for (found, thumbnail) in found.iter_mut().zip(["false", "true"]) {
            let request = self.http.get(format!("{}/chatfiles/{uuid}", self.base)).bearer_auth(&token);
            *found = request.header("thumbnail", thumbnail).send().await.unwrap().status().as_u16();
        }
        found
    }

    fn session(&self) -> SessionRequest {
        SessionRequest {
            app: self.app.uuid.clone(),
            user: "bob".into(),
            device: "web_1".into(),
            ..Default::default()
        }
    }

    /// What a device of bob's that has taken nothing is told of its queues.
    async fn unread(&self) -> Vec<u64> {
        let queues = self.region.router.unread(self.session()).await.unwrap().queues;
        queues.iter().map(|queue| queue.count).collect()
    }

    /// Waits until it is told this. Which queues there are is told by routers, which know a plan for a second.
    async fn until_unread(&self, wanted: &[u64]) {
        let limit = Instant::now() + Duration::from_secs(2);
        loop {
            match self.unread().await {
                told if told == wanted => return,
                told => assert!(Instant::now() < limit, "{told:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many messages that device pulls.
    async fn pulled(&self) -> usize {
        let queue = Some(Queue { name: "alice".into(), ..Queue::default() });
        let request = PullRequest { session: Some(self.session()), queue, key: 0 };
        self.region.router.pull(request).await.unwrap().messages.len()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text in an answer: {value}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_plan_counts_for_everything_that_a_region_serves() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::start(folder.path()).await;
    let users = json!([{"username": "alice", "password": "1"}, {"username": "bob", "password": "1"}]);
    bed.post("/users", &bed.app_token().await, users).await;
    let (old, file) = (bed.send().await, bed.upload().await);
    bed.clock.advance_ms(5 * DAY_MS);
    let new = bed.send().await;
    bed.clock.advance_ms(3 * DAY_MS);

    let count = async || text_or_number(&bed.get("/users/bob/offline_msg_count").await.1["data"]["bob"]);
    let status = async |id: &str| bed.get(&format!("/users/bob/offline_msg_status/{id}")).await.0;
    let everything = async || {
        let (counted, found) = (count().await, [status(&old).await, status(&new).await]);
        (bed.history().await, counted, found, bed.file(&file).await, bed.unread().await)
    };
    assert_eq!(everything().await, (2, 2, [200, 200], [200, 200], vec![2]));

    bed.set_plan("free").await;
    assert_eq!(bed.history().await, 1, "from that moment on");
    let [found_old, found_new] = [status(&old).await, status(&new).await];
    assert_eq!((found_old == 200, found_new), (false, 200));
    assert!(bed.file(&file).await.iter().all(|status| *status != 200));
    assert_eq!(count().await, 1);
    bed.until_unread(&[1]).await;
    assert_eq!(bed.pulled().await, 1);

    bed.set_plan("starter").await;
    assert_eq!((bed.history().await, status(&old).await, bed.file(&file).await), (2, 200, [200, 200]));

    bed.clock.advance_ms(90 * DAY_MS);
    assert_eq!((bed.history().await, count().await), (0, 0));
    bed.until_unread(&[]).await;
    bed.region.drain().await;
}

fn text_or_number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value}"))
}
