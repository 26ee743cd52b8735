//! People who write to each other, one to one and in a group, in every region at the same time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bulkhead_chassis::{OsEntropy, SystemClock};
use bulkhead_client::{
    Connection, Credential, Event, HistoryQuery, Login, Options, RegionAddress, Rest, TokenBuilder, Trust,
    text_body,
};
use bulkhead_model::{AppId, AppKey};
use bulkhead_msync::proto::message_body::Type;
use bulkhead_testkit::{App, TestCluster};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::regions::Regions;

/// Messages each way.
const MESSAGES: usize = 20;

/// How long a message may take.
const MESSAGE_LIMIT: Duration = Duration::from_secs(30);

/// What every message begins with, so that it is found wherever it goes.
pub(crate) const CANARY: &str = "the canary of ";

/// Tokens of an app's users, as its back end makes them.
pub(crate) fn tokens(app: &App) -> Result<TokenBuilder> {
    let id: AppId = app.app_id.parse()?;
    Ok(TokenBuilder::new(&id, &app.app_certificate, Arc::new(SystemClock), Arc::new(OsEntropy)))
}

/// A runtime whose every socket is opened by the thread that calls, and so in its place.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Logs a user in at one of the gateways of a region, with a token of `tokens`.
pub(crate) async fn log_in(
    region: &TestCluster,
    gateway: usize,
    tokens: &TokenBuilder,
    user: &str,
) -> Result<(Connection, Receiver<Event>)> {
    let login = Login {
        app: region.app().app_key.parse()?,
        user: user.to_owned(),
        credential: Credential::Token(tokens.user_token(user, 3600)?),
        device: None,
    };
    let address = RegionAddress::new(&region.rest_url(gateway), &Trust::default())?;
    let (clock, entropy) = (SystemClock, Arc::new(OsEntropy));
    Ok(Connection::open(address, login, Options::default(), &clock, entropy).await?)
}

/// In every region at the same time, each in its place. `when` is in the texts.
pub(crate) fn in_all(regions: &Regions, when: &str) -> Result<()> {
    std::thread::scope(|scope| {
        let chats = regions.all().iter().map(|region| {
            scope.spawn(move || regions.inside(region.region(), || runtime()?.block_on(chat(region, when))))
        });
        let chats: Vec<_> = chats.collect();
        chats.into_iter().zip(regions.all()).try_for_each(|(chat, region)| {
            chat.join().expect("people chat").context(region.region().to_owned())
        })
    })
}

async fn chat(region: &TestCluster, when: &str) -> Result<()> {
    let tokens = tokens(region.app())?;
    let app: AppKey = region.app().app_key.parse()?;
    let rest = Rest::new(&RegionAddress::new(&region.rest_url(0), &Trust::default())?, &app)?;
    let app_token = tokens.app_token(3600)?;
    let group = rest.create_group(&app_token, "alice", 10).await?;
    rest.add_to_group(&app_token, &group, &["bob"]).await?;

    // At the two gateways, so that the routers' bus carries what they write.
    let (alice, mut to_alice) = log_in(region, 0, &tokens, "alice").await?;
    let (bob, mut to_bob) = log_in(region, 1, &tokens, "bob").await?;
    for number in 0..MESSAGES {
        let text = |from: &str| format!("{CANARY}{}: {number} from {from}, {when}", region.region());
        alice.send_text("bob", &text("alice")).await?;
        comes(&mut to_bob, &text("alice")).await?;
        bob.send_text("alice", &text("bob")).await?;
        comes(&mut to_alice, &text("bob")).await?;
        let mut body = text_body("bob", &group, &text("bob to the group"));
        body.r#type = Some(Type::Groupchat.into());
        bob.deliver(&bob.prepare(&group, body)).await?;
        comes(&mut to_alice, &text("bob to the group")).await?;
    }
    for (with, is_group) in [("bob", false), (group.as_str(), true)] {
        let query = HistoryQuery { with, is_group, start: None, limit: 50, towards_newer: false };
        let page = rest.history(&tokens.user_token("alice", 3600)?, "alice", &query).await?;
        let ours =
            page.messages.iter().filter(|message| message.text().is_some_and(|text| text.contains(when)));
        let expected = if is_group { MESSAGES } else { 2 * MESSAGES };
        ensure!(ours.count() == expected, "the history with {with} lacks something");
    }
    Ok(())
}

/// Waits for a message of this text.
async fn comes(events: &mut Receiver<Event>, text: &str) -> Result<()> {
    loop {
        match timeout(MESSAGE_LIMIT, events.recv()).await.with_context(|| format!("{text}: not in time"))? {
            Some(Event::Message(message)) if message.text() == Some(text) => return Ok(()),
            Some(Event::Disconnected { reason }) => bail!("{text}: {reason}"),
            Some(_) => {}
            None => bail!("{text}: the connection has ended"),
        }
    }
}
