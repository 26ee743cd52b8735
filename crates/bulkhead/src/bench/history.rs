//! Pages of history over REST, on connections that stay open.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use bulkhead_model::limits::HISTORY_PAGE_MAX;
use clap::Args;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::http::HttpConnection;
use super::report::{Report, histogram};
use super::socket::lost;
use super::users::{self, BenchUser};
use super::window::Window;
use super::{Setting, direct};
use crate::Failure;

#[derive(Args)]
pub(super) struct HistoryArguments {
    /// Conversations that are read.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=5000))]
    conversations: u32,
    /// Messages that each of them holds.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(50..=1_000_000))]
    messages: u32,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Bytes of a message's text.
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    text: usize,
}

struct Run {
    pages: Cell<u64>,
    bytes: Cell<u64>,
    measuring: Cell<bool>,
    stopped: Cell<bool>,
    /// From the request to the last byte of the page, in microseconds.
    latency: RefCell<Histogram<u64>>,
}

/// A reader of one conversation, from its newest page to its oldest and from the beginning again.
struct Reader {
    head: String,
    queue: String,
    start: String,
}

pub(super) async fn run(setting: &Setting, arguments: &HistoryArguments) -> Result<Report, Failure> {
    let count = arguments.conversations as usize;
    let senders = users::make(&setting.server, "sender", count).await?;
    let receivers = users::make(&setting.server, "receiver", count).await?;
    direct::fill(setting, &senders, &receivers, arguments.messages, arguments.text).await?;

    let run = Rc::new(Run {
        pages: Cell::new(0),
        bytes: Cell::new(0),
        measuring: Cell::new(false),
        stopped: Cell::new(false),
        latency: RefCell::new(histogram()),
    });
    let mut tasks = JoinSet::new();
    for index in 0..arguments.connections as usize {
        let stream = setting.server.connector.connect(index).await.map_err(lost)?;
        // Every connection reads all conversations in turn, each starting at another.
        let readers = (0..count)
            .map(|offset| (index + offset) % count)
            .map(|pair| Reader::new(setting, &receivers[pair], &senders[pair]))
            .collect();
        tasks.spawn_local(read(Rc::clone(&run), HttpConnection::new(stream), readers));
    }
    sleep(setting.warm_up).await;
    run.measuring.set(true);
    let (window, before) = (Window::open(&setting.server)?, run.pages.get());
    let bytes_before = run.bytes.get();
    sleep(setting.duration).await;
    let (measured, after) = (window.close(&setting.server)?, run.pages.get());
    let bytes = run.bytes.get() - bytes_before;
    run.stopped.set(true);
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|_| Failure::refused("the generator failed"))??;
    }

    let pages = after - before;
    let mut report = Report::new("history");
    report.setting("conversations", arguments.conversations);
    report.setting("messages", arguments.messages);
    report.setting("connections", arguments.connections);
    report.setting("page", HISTORY_PAGE_MAX);
    report.setting("text_bytes", arguments.text);
    measured.describe(&mut report);
    report.rate("pages", pages, &measured);
    report.latency("page", &run.latency.borrow());
    report.number("kb_per_page", bytes as f64 / 1e3 / pages.max(1) as f64);
    Ok(report)
}

async fn read(run: Rc<Run>, mut http: HttpConnection, mut readers: Vec<Reader>) -> Result<(), Failure> {
    let count = readers.len();
    for turn in (0..count).cycle() {
        if run.stopped.get() {
            break;
        }
        let reader = &mut readers[turn];
        let request = reader.request();
        let began = Instant::now();
        let (status, body) = http.call(request.as_bytes()).await.map_err(lost)?;
        if status != 200 {
            return Err(Failure::refused(format!("a page was answered with {status}")));
        }
        run.pages.set(run.pages.get() + 1);
        run.bytes.set(run.bytes.get() + body.len() as u64);
        if run.measuring.get() {
            run.latency.borrow_mut().saturating_record(began.elapsed().as_micros() as u64);
        }
        reader.turn_page(body)?;
    }
    Ok(())
}

impl Reader {
    fn new(setting: &Setting, reader: &BenchUser, peer: &BenchUser) -> Self {
        let server = &setting.server;
        let head = format!(
            "POST /{}/{}/users/{}/messageroaming HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\n",
            server.app.org, server.app.app, reader.name, server.address, reader.token
        );
        Self { head, queue: format!("{}@easemob.com", peer.name), start: "-1".to_owned() }
    }

    fn request(&self) -> String {
        let body = format!(
            r#"{{"queue":"{}","start":"{}","pull_number":{HISTORY_PAGE_MAX},"is_positive":false}}"#,
            self.queue, self.start
        );
        format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len())
    }

    /// Checks that the page is whole, and goes to the next or back to the first.
    fn turn_page(&mut self, body: &[u8]) -> Result<(), Failure> {
        let Some(page) = PageEnd::read(body) else {
            return Err(Failure::refused("a page is not understood"));
        };
        // Only the last page may be shorter than was asked for.
        if !page.is_last && count(body, br#"{"msg":"#) != HISTORY_PAGE_MAX {
            return Err(Failure::refused("a page is not complete"));
        }
        self.start = if page.is_last { "-1".to_owned() } else { page.next_key };
        Ok(())
    }
}

/// What stands behind the messages of a page.
#[derive(Debug, PartialEq, Eq)]
struct PageEnd {
    next_key: String,
    is_last: bool,
}

impl PageEnd {
    fn read(body: &[u8]) -> Option<Self> {
        let bracket = body.iter().rposition(|byte| *byte == b']')?;
        let end = std::str::from_utf8(&body[bracket..]).ok()?;
        let (_, key) = end.split_once(r#""next_key":""#)?;
        let (next_key, _) = key.split_once('"')?;
        let (_, last) = end.split_once(r#""is_last":"#)?;
        Some(Self { next_key: next_key.to_owned(), is_last: last.starts_with("true") })
    }
}

fn count(body: &[u8], needle: &[u8]) -> usize {
    body.windows(needle.len()).filter(|window| *window == needle).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_page_is_found_behind_its_messages() {
        let body = br#"{"action":"x","data":{"msgs":[{"msg":"b25l"},{"msg":"dHdv"}],"next_key":"6","is_last":false},"path":"/u"}"#;
        assert_eq!(PageEnd::read(body), Some(PageEnd { next_key: "6".to_owned(), is_last: false }));
        assert_eq!(count(body, br#"{"msg":"#), 2);
        assert_eq!(PageEnd::read(b"{}"), None);
    }
}
