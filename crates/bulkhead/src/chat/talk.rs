//! The conversation: lines of the input go out, events come in, until one of them ends.

use std::collections::{BTreeMap, HashSet};
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_chassis::{OsEntropy, SystemClock};
use bulkhead_client::{
    ClientError, Connection, Credential, Event, HistoryQuery, Login, Message, Options, Reconnect, Rest, Sent,
    text_body,
};
use bulkhead_model::fold_username;
use bulkhead_msync::proto::message_body::Type;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::ChatArguments;
use super::screen::{Screen, content};
use super::target::Target;
use crate::Failure;

/// Messages of one page of history.
const HISTORY_PAGE: usize = 20;

/// Lines that may wait to be sent.
const LINES_MAX: usize = 64;

/// How often a message without an acknowledgement is sent again, under the same client id.
const DELIVERIES_MAX: u32 = 4;

/// Own messages whose receipts are shown.
const SENT_MAX: usize = 200;

/// How long the last lines may take to be acknowledged after the input has ended.
const FAREWELL_LIMIT: Duration = Duration::from_secs(20);

/// A line that was sent, with what became of it.
struct Outcome {
    text: String,
    result: Result<Sent, ClientError>,
}

#[derive(Clone, Copy)]
enum Receipt {
    Delivered,
    Read,
}

struct Talk {
    user: String,
    peer: String,
    token: String,
    rest: Rest,
    connection: Connection,
    screen: Screen,
    /// Messages that stand on the screen already.
    shown: HashSet<u64>,
    /// Own texts by message id, for their receipts.
    sent: BTreeMap<u64, String>,
    /// Receipts that overtook the acknowledgement of their message.
    early: Vec<(u64, Receipt)>,
    /// Where the next page of history starts; `None` when the beginning has been reached.
    older: Option<String>,
}

pub(super) async fn talk(target: Target, arguments: &ChatArguments) -> Result<(), Failure> {
    let peer = fold_username(&arguments.to);
    let rest = Rest::new(&target.region, &target.app)?;
    let login = Login {
        app: target.app,
        user: target.user.clone(),
        credential: Credential::Token(target.token.clone()),
        device: Some(arguments.device.clone()),
    };
    let options = Options { reconnect: Some(Reconnect::default()), delivery_receipts: true };
    let (connection, events) =
        Connection::open(target.region, login, options, &SystemClock, Arc::new(OsEntropy)).await?;
    let typed = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut talk = Talk {
        screen: Screen::new(typed),
        user: target.user,
        peer,
        token: target.token,
        rest,
        connection,
        shown: HashSet::new(),
        sent: BTreeMap::new(),
        early: Vec::new(),
        older: Some("-1".to_owned()),
    };
    talk.show_history().await?;
    talk.screen.note(&format!("{} with {}. /history shows older messages, /quit ends", talk.user, talk.peer));
    talk.run(events).await
}

impl Talk {
    async fn run(&mut self, mut events: mpsc::Receiver<Event>) -> Result<(), Failure> {
        let (lines, waiting) = mpsc::channel::<String>(LINES_MAX);
        let (outcomes_in, mut outcomes) = mpsc::channel::<Outcome>(LINES_MAX);
        tokio::spawn(send_lines(
            self.connection.clone(),
            self.user.clone(),
            self.peer.clone(),
            waiting,
            outcomes_in,
        ));
        let mut lines = Some(lines);
        let mut input = BufReader::new(tokio::io::stdin()).lines();
        while let Some(sender) = &lines {
            tokio::select! {
                line = input.next_line() => match line.ok().flatten().as_deref().map(str::trim) {
                    None | Some("/quit") => lines = None,
                    Some("") => self.screen.untype(),
                    Some("/history") => {
                        self.screen.untype();
                        if let Err(failure) = self.show_history().await {
                            self.screen.note(&failure.to_string());
                        }
                    }
                    Some(text) => {
                        self.screen.untype();
                        if sender.try_send(text.to_owned()).is_err() {
                            self.screen.note("not sent: too many messages wait");
                        }
                    }
                },
                outcome = outcomes.recv() => match outcome {
                    Some(outcome) => self.show_outcome(outcome),
                    None => lines = None,
                },
                event = events.recv() => match event {
                    Some(Event::Disconnected { reason }) => return Err(Failure::refused(reason)),
                    Some(event) => self.show_event(event),
                    None => return Err(Failure::refused("the connection has ended")),
                },
            }
        }
        // What was typed before the end is still sent.
        let farewell = async {
            loop {
                tokio::select! {
                    outcome = outcomes.recv() => match outcome {
                        Some(outcome) => self.show_outcome(outcome),
                        None => return,
                    },
                    Some(event) = events.recv() => self.show_event(event),
                }
            }
        };
        timeout(FAREWELL_LIMIT, farewell)
            .await
            .map_err(|_| Failure::refused("the last messages were not acknowledged"))
    }

    /// Shows the page before the oldest message that was shown.
    async fn show_history(&mut self) -> Result<(), Failure> {
        let Some(start) = self.older.take() else {
            self.screen.note("this is the beginning");
            return Ok(());
        };
        let query = HistoryQuery {
            with: &self.peer,
            is_group: false,
            start: Some(&start),
            limit: HISTORY_PAGE,
            towards_newer: false,
        };
        let page = match self.rest.history(&self.token, &self.user, &query).await {
            Ok(page) => page,
            Err(error) => {
                self.older = Some(start);
                return Err(error.into());
            }
        };
        if !page.is_last && !page.next_key.is_empty() {
            self.older = Some(page.next_key);
        }
        let mut messages = page.messages;
        messages.retain(|message| is_chat(message) && self.shown.insert(message.id));
        messages.sort_by_key(|message| message.id);
        for message in &messages {
            self.screen.message(message);
        }
        Ok(())
    }

    fn show_outcome(&mut self, outcome: Outcome) {
        match outcome.result {
            Ok(sent) => {
                self.shown.insert(sent.id);
                self.screen.sent(&self.user, sent.timestamp_ms, &outcome.text);
                self.sent.insert(sent.id, outcome.text);
                if self.sent.len() > SENT_MAX {
                    self.sent.pop_first();
                }
                for (message_id, receipt) in std::mem::take(&mut self.early) {
                    self.show_receipt(message_id, receipt);
                }
            }
            Err(error) => self.screen.note(&format!("not sent: {error}")),
        }
    }

    fn show_event(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.show_message(message),
            Event::Delivered { by, message_id } if by == self.peer => {
                self.show_receipt(message_id, Receipt::Delivered);
            }
            Event::Read { by, message_id } if by == self.peer => self.show_receipt(message_id, Receipt::Read),
            Event::Recalled { by, .. } => self.screen.note(&format!("{by} recalled a message")),
            Event::Edited { edit, .. } => {
                self.screen.note(&format!("{} edited a message: {}", edit.from, content(&edit)));
            }
            Event::Kicked { reason, .. } => self.screen.note(&format!("the session was ended: {reason:?}")),
            Event::Reconnecting { attempt: 1 } => {
                self.screen.note("the connection is gone, connecting again")
            }
            Event::Reconnected => self.screen.note("connected again"),
            Event::Delivered { .. }
            | Event::Read { .. }
            | Event::ConversationRead { .. }
            | Event::Reconnecting { .. }
            | Event::Disconnected { .. }
            | Event::Synced
            | Event::Other(_) => {}
        }
    }

    fn show_receipt(&mut self, message_id: u64, receipt: Receipt) {
        match (self.sent.get(&message_id), receipt) {
            (Some(text), Receipt::Delivered) => self.screen.receipt("✓", "delivered", text),
            (Some(text), Receipt::Read) => self.screen.receipt("✓✓", "read", text),
            (None, _) if self.early.len() < SENT_MAX => self.early.push((message_id, receipt)),
            (None, _) => {}
        }
    }

    fn show_message(&mut self, message: Message) {
        let of_this_talk =
            message.from == self.peer || (message.from == self.user && message.to == self.peer);
        if !of_this_talk {
            if message.from != self.user {
                self.screen.note(&format!("{} writes too", message.from));
            }
            return;
        }
        if self.shown.insert(message.id) {
            self.screen.message(&message);
        }
        if message.from == self.peer {
            let connection = self.connection.clone();
            // A receipt that is lost is no loss.
            tokio::spawn(async move { connection.mark_read(&message.from, message.id).await });
        }
    }
}

fn is_chat(message: &Message) -> bool {
    matches!(message.body.r#type(), Type::Normal | Type::Chat)
}

/// One after the other, so that the order of the lines is the order of the messages.
async fn send_lines(
    connection: Connection,
    user: String,
    peer: String,
    mut lines: mpsc::Receiver<String>,
    outcomes: mpsc::Sender<Outcome>,
) {
    while let Some(text) = lines.recv().await {
        let outgoing = connection.prepare(&peer, text_body(&user, &peer, &text));
        let mut deliveries = 1;
        let result = loop {
            match connection.deliver(&outgoing).await {
                Err(ClientError::Timeout(_)) if deliveries < DELIVERIES_MAX => deliveries += 1,
                result => break result,
            }
        };
        if outcomes.send(Outcome { text, result }).await.is_err() {
            return;
        }
    }
}
