//! People who write to each other without a pause, and what became of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bulkhead_chassis::{OsEntropy, SystemClock};
use bulkhead_client::{
    ClientError, Connection, Credential, Event, HistoryQuery, Login, Message, NewUser, Options, Reconnect,
    RegionAddress, Rest, TokenBuilder, Trust, text_body,
};
use bulkhead_model::{AppId, AppKey};
use bulkhead_testkit::TestCluster;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::checker::{Seen, Story};

/// Pause of a sender between two messages.
const PAUSE: Duration = Duration::from_millis(15);

/// How long a message may take to be acknowledged, whatever happens meanwhile.
const MESSAGE_LIMIT: Duration = Duration::from_secs(60);

/// How long the receivers may take for what is left when nobody sends any more: a client asks for what it may have missed
/// every half minute.
const REST_LIMIT: Duration = Duration::from_secs(75);

/// Pairs of users, one of each at either gateway.
pub(crate) struct Workload {
    name: String,
    pairs: Vec<Pair>,
    stop: Arc<AtomicBool>,
    rest: Rest,
    tokens: TokenBuilder,
}

struct Pair {
    sender: String,
    receiver: String,
    progress: Arc<Progress>,
    sending: JoinHandle<Result<Vec<Seen>>>,
    receiving: mpsc::Receiver<Event>,
    received: Vec<Seen>,
    /// Held so that the receiver stays connected.
    _connection: Connection,
}

/// How far a sender is.
#[derive(Default)]
struct Progress {
    acknowledged: AtomicU64,
    /// Attempts that the server refused, which are made again.
    refused: AtomicU64,
    last_refusal: Mutex<Option<ClientError>>,
}

impl Workload {
    /// Registers the users and has them talk; `name` stands before what it prints.
    pub(crate) async fn start(cluster: &TestCluster, name: &str, pairs: usize) -> Result<Self> {
        let app = cluster.app();
        let app_key: AppKey = app.app_key.parse()?;
        let app_id: AppId = app.app_id.parse()?;
        let tokens =
            TokenBuilder::new(&app_id, &app.app_certificate, Arc::new(SystemClock), Arc::new(OsEntropy));
        let address = |gateway: usize| {
            RegionAddress::new(&format!("http://{}", cluster.gateway(gateway)), &Trust::default())
        };
        let rest = Rest::new(&address(0)?, &app_key)?;
        let names: Vec<_> = (0..pairs).map(|pair| (format!("s{pair}"), format!("r{pair}"))).collect();
        let users: Vec<_> = names.iter().flat_map(|(sender, receiver)| [sender, receiver]).collect();
        let app_token = tokens.app_token(3600)?;
        for some in users.chunks(50) {
            let users: Vec<_> =
                some.iter().map(|name| NewUser { username: (*name).clone(), password: None }).collect();
            let registered = rest.register(&app_token, &users).await?;
            ensure!(registered.failed.is_empty(), "{:?}", registered.failed);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let mut started = Vec::with_capacity(pairs);
        for (number, (sender, receiver)) in names.into_iter().enumerate() {
            let open = async |user: &str, gateway: usize| {
                let login = Login {
                    app: app_key.clone(),
                    user: user.to_owned(),
                    credential: Credential::Token(tokens.user_token(user, 3600)?),
                    device: Some(format!("ios_{user}")),
                };
                let wait = Duration::from_millis(300);
                let reconnect = Reconnect { first_wait: wait, wait_max: 3 * wait, attempts_max: 1000 };
                let options = Options { reconnect: Some(reconnect), delivery_receipts: false };
                let address = address(gateway)?;
                anyhow::Ok(
                    Connection::open(address, login, options, &SystemClock, Arc::new(OsEntropy)).await?,
                )
            };
            let (connection, receiving) = open(&receiver, (number + 1) % 2).await?;
            let (speaker, mut ignored) = open(&sender, number % 2).await?;
            tokio::spawn(async move { while ignored.recv().await.is_some() {} });
            let progress = Arc::new(Progress::default());
            let sending =
                tokio::spawn(send(speaker, sender.clone(), receiver.clone(), progress.clone(), stop.clone()));
            let received = Vec::new();
            started.push(Pair {
                sender,
                receiver,
                progress,
                sending,
                receiving,
                received,
                _connection: connection,
            });
        }
        Ok(Self { name: name.to_owned(), pairs: started, stop, rest, tokens })
    }

    /// Returns when every sender had some more messages acknowledged; prints how long that took, and fails if it took longer
    /// than `limit`.
    pub(crate) async fn goes_on(&mut self, after: &str, limit: Duration) -> Result<()> {
        let took = self.every_sender_has(3, |progress| &progress.acknowledged, limit).await;
        let took = took.with_context(|| format!("not acknowledged: {after}"))?;
        println!("{}: {after}: went on after {took:.1?} of at most {limit:?}", self.name);
        Ok(())
    }

    /// Returns when every sender was refused, with what the last one was told.
    pub(crate) async fn is_refused(&mut self, after: &str, limit: Duration) -> Result<ClientError> {
        let took = self.every_sender_has(1, |progress| &progress.refused, limit).await;
        let took = took.with_context(|| format!("not refused: {after}"))?;
        println!("{}: {after}: refused after {took:.1?} of at most {limit:?}", self.name);
        let last = self.pairs.iter().find_map(|pair| pair.progress.last_refusal.lock().ok()?.take());
        last.context("a sender was refused")
    }

    async fn every_sender_has(
        &mut self,
        more: u64,
        what: fn(&Progress) -> &AtomicU64,
        limit: Duration,
    ) -> Result<Duration> {
        let start = Instant::now();
        let counts = |pairs: &[Pair]| -> Vec<u64> {
            pairs.iter().map(|pair| what(&pair.progress).load(Ordering::SeqCst)).collect()
        };
        let before = counts(&self.pairs);
        loop {
            self.take_events();
            let now = counts(&self.pairs);
            let stuck = before.iter().zip(&now).filter(|(before, now)| **now < **before + more).count();
            if stuck == 0 {
                return Ok(start.elapsed());
            }
            if start.elapsed() > limit {
                bail!("{stuck} of {} senders are stuck after {limit:?}", now.len());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A sender and his receiver.
    pub(crate) fn anybody(&self) -> (&str, &str) {
        (&self.pairs[0].sender, &self.pairs[0].receiver)
    }

    /// A token of the app.
    pub(crate) fn app_token(&self) -> Result<String> {
        Ok(self.tokens.app_token(3600)?)
    }

    /// Ends it and judges every conversation; answers how many messages there were.
    pub(crate) async fn finish(mut self) -> Result<usize> {
        self.stop.store(true, Ordering::SeqCst);
        let mut stories = Vec::new();
        for pair in &mut self.pairs {
            let acknowledged = (&mut pair.sending).await?.context(pair.sender.clone())?;
            stories.push(Story { acknowledged, ..Story::default() });
        }
        let start = Instant::now();
        loop {
            self.take_events();
            let mut complete = true;
            for (pair, story) in self.pairs.iter().zip(&mut stories) {
                story.received.clone_from(&pair.received);
                complete &= story.is_complete();
            }
            if complete || start.elapsed() > REST_LIMIT {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut total = 0;
        for (pair, story) in self.pairs.iter().zip(&mut stories) {
            story.history = self.history(pair).await?;
            total += story.history.len();
            story.check().with_context(|| format!("{} to {}", pair.sender, pair.receiver))?;
        }
        Ok(total)
    }

    fn take_events(&mut self) {
        for pair in &mut self.pairs {
            while let Ok(event) = pair.receiving.try_recv() {
                if let Event::Message(message) = event {
                    pair.received.push(seen(&message));
                }
            }
        }
    }

    async fn history(&self, pair: &Pair) -> Result<Vec<Seen>> {
        let token = self.tokens.user_token(&pair.receiver, 3600)?;
        let (mut all, mut start) = (Vec::new(), None);
        loop {
            let query = HistoryQuery {
                with: &pair.sender,
                is_group: false,
                start: start.as_deref(),
                limit: 50,
                towards_newer: true,
            };
            let page = self.rest.history(&token, &pair.receiver, &query).await?;
            all.extend(page.messages.iter().map(seen));
            if page.is_last {
                return Ok(all);
            }
            start = Some(page.next_key);
        }
    }
}

/// One message after the other; each is sent, under its one client id, until it is acknowledged.
async fn send(
    connection: Connection,
    from: String,
    to: String,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
) -> Result<Vec<Seen>> {
    let mut acknowledged = Vec::new();
    for number in 0u64.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let text = format!("message {number}");
        let outgoing = connection.prepare(&to, text_body(&from, &to, &text));
        let since = Instant::now();
        let sent = loop {
            match connection.deliver(&outgoing).await {
                Ok(sent) => break sent,
                Err(error) if since.elapsed() > MESSAGE_LIMIT => return Err(error.into()),
                Err(error) => {
                    if let refusal @ ClientError::Refused { .. } = error {
                        *progress.last_refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
                        progress.refused.fetch_add(1, Ordering::SeqCst);
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        };
        acknowledged.push((sent.id, text));
        progress.acknowledged.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(acknowledged)
}

fn seen(message: &Message) -> Seen {
    (message.id, message.text().unwrap_or_default().to_owned())
}
