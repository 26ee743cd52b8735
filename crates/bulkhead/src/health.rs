//! `bulkhead health`: asks a node's monitor whether it is ready, for images that have no other program to ask with.

use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Failure;

/// How long the node may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

#[derive(Args)]
pub(crate) struct HealthArguments {
    /// Address of the node's monitor (`monitor.listen`).
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7190")]
    monitor: String,
    /// What is asked: /readyz for "takes work", /healthz for "is alive".
    #[arg(long, value_name = "PATH", default_value = "/readyz")]
    path: String,
}

/// Prints what the node answers; fails unless it answers 200.
pub(crate) async fn run(arguments: HealthArguments) -> Result<(), Failure> {
    let HealthArguments { monitor, path } = arguments;
    let answer = tokio::time::timeout(ANSWER_LIMIT, ask(&monitor, &path))
        .await
        .map_err(|_| Failure::refused(format!("{monitor} does not answer in time")))?
        .map_err(|error| Failure::io(format!("{monitor} cannot be reached: {error}")))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    println!("{}", body.trim_end());
    let status = head.split(' ').nth(1).unwrap_or("none");
    if status == "200" { Ok(()) } else { Err(Failure::refused(format!("{path} answers {status}"))) }
}

/// One request over HTTP/1.0, whose answer ends with the connection and has no chunks.
async fn ask(monitor: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(monitor).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {monitor}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
    Ok(answer)
}
