//! HTTP over whatever a token server listens at, byte by byte, so that nothing is added to what a test says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::doors::connect;

/// Far more than an answer takes.
const LIMIT: Duration = Duration::from_secs(40);

/// Where a server listens.
#[derive(Clone)]
pub(crate) enum Door {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// With the authority that is trusted, and the certificate and key that are shown.
    Mutual(SocketAddr, Box<(String, (String, String))>),
}

/// What is asked.
#[derive(Clone)]
pub(crate) struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// What is answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn post(path: &str, body: &Value) -> Self {
        Self::new("POST", path).header("content-type", "application/json").body(&body.to_string())
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    pub(crate) async fn send(&self, door: &Door) -> Result<Answer> {
        match door {
            Door::Tcp(address) => self.send_over(TcpStream::connect(address).await?).await,
            Door::Unix(path) => self.send_over(UnixStream::connect(path).await?).await,
            Door::Mutual(address, shown) => {
                self.send_over(connect(*address, &shown.0, Some(&shown.1)).await?).await
            }
        }
    }

    pub(crate) async fn send_over(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<Answer> {
        tokio::time::timeout(LIMIT, self.exchange(stream)).await.context("no answer in time")?
    }

    async fn exchange(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<Answer> {
        let mut head = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            head.push_str("host: localhost\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(self.body.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        read(&String::from_utf8(bytes)?)
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body of a success.
    pub(crate) fn ok(self) -> Result<Value> {
        ensure!(self.status == 200, "{}: {}", self.status, self.body);
        Ok(self.body)
    }

    /// Checks that it is a refusal, in JSON, with a word and words for people.
    pub(crate) fn refused(&self, status: u16, word: &str) -> Result<()> {
        ensure!(self.status == status && self.body["error"] == word, "{}: {}", self.status, self.body);
        let words = self.body["error_description"].as_str().unwrap_or_default();
        ensure!(!words.is_empty(), "a refusal without words: {}", self.body);
        ensure!(self.header("content-type") == Some("application/json"), "{:?}", self.headers);
        Ok(())
    }
}

fn read(text: &str) -> Result<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").context("no HTTP answer")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?.parse()?;
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    Ok(Answer { status, headers, body: serde_json::from_str(body).unwrap_or_default() })
}
