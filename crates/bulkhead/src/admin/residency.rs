use std::path::{Path, PathBuf};
use std::time::Duration;

use bulkhead_chassis::config::addresses_of;
use bulkhead_chassis::residency::ResidencyReport;
use clap::Args;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Failure;

/// Largest answer of a monitor, in bytes.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How long a monitor may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(super) struct ResidencyArguments {
    /// A node's configuration file: what it would call. Can be repeated.
    #[arg(long = "config", value_name = "FILE", required_unless_present = "monitors")]
    configurations: Vec<PathBuf>,
    /// The monitor address of a running node, like http://10.0.0.7:9100: what it calls and has called. Can be repeated.
    #[arg(long = "monitor", value_name = "URL")]
    monitors: Vec<String>,
}

/// Prints the reports; fails when one has a finding.
pub(super) async fn run(as_json: bool, arguments: ResidencyArguments) -> Result<(), Failure> {
    let mut reports = Vec::new();
    for file in &arguments.configurations {
        reports.push(configured(file)?);
    }
    for url in &arguments.monitors {
        reports.push(running(url).await?);
    }
    let findings: usize = reports.iter().map(|report| report.findings().len()).sum();
    if as_json {
        let described =
            reports.iter().map(|report| json!({ "report": report, "findings": report.findings() }));
        println!("{:#}", json!({ "nodes": described.collect::<Vec<_>>(), "findings": findings }));
    } else {
        reports.iter().for_each(|report| print!("{report}"));
    }
    match findings {
        0 => Ok(()),
        1 => Err(Failure::refused("one address is not of its node's region")),
        more => Err(Failure::refused(format!("{more} addresses are not of their node's region"))),
    }
}

fn configured(file: &Path) -> Result<ResidencyReport, Failure> {
    let (region, configured) = addresses_of(file)?;
    let process = file.display().to_string();
    Ok(ResidencyReport { region, process, identity: None, configured, dialled: Vec::new() })
}

/// Asks a running node.
async fn running(url: &str) -> Result<ResidencyReport, Failure> {
    let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let Some(authority) = authority.filter(|authority| authority.contains(':') && !authority.contains('/'))
    else {
        return Err(Failure::usage(format!("{url} is no http://host:port address")));
    };
    let failed = |what: String| Failure::io(format!("{url}: {what}"));
    let answer = match timeout(ANSWER_LIMIT, ask(authority)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed("no answer in time".to_owned())),
    };
    let body = answer
        .starts_with("HTTP/1.0 200 ")
        .then(|| answer.split_once("\r\n\r\n"))
        .flatten()
        .ok_or_else(|| failed("is no monitor of a Bulkhead node".to_owned()))?
        .1;
    serde_json::from_str(body).map_err(|_| failed("does not answer with a residency report".to_owned()))
}

/// HTTP/1.0, so that the body is what comes until the end.
async fn ask(authority: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(authority).await?;
    let request = format!("GET /residency HTTP/1.0\r\nhost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
    Ok(answer)
}
