use bulkhead_api::RetentionApi;
use bulkhead_chassis::SystemClock;
use bulkhead_model::AppKey;
use bulkhead_proto::storage::{RetentionClass, RetentionReport, RetentionRequest, RetentionRule};
use bulkhead_rpc::{RetentionClient, Service, connect};
use bulkhead_storage::RetentionReports;
use clap::Args;
use serde_json::{Value, json};
use std::sync::Arc;

use super::ReachArguments;
use super::reach::{Reached, identity};
use crate::Failure;

const HOUR_MS: u64 = 60 * 60 * 1000;
const DAY_MS: u64 = 24 * HOUR_MS;

#[derive(Args)]
pub(super) struct RetentionArguments {
    /// ORG/APP
    #[arg(long)]
    app: AppKey,
    /// Address of a storage service of a running region, like https://127.0.0.1:7103, in place of --auth; with the same
    /// three files of a certificate.
    #[arg(long, value_name = "URL", conflicts_with_all = ["auth", "data_dir"])]
    storage: Option<String>,
}

/// Prints what is kept of an app and what goes next.
pub(super) async fn run(reach: &ReachArguments, arguments: RetentionArguments) -> Result<(), Failure> {
    let request = RetentionRequest { app_key: arguments.app.to_string() };
    let report = match &arguments.storage {
        Some(url) => {
            let identity = identity(reach)?;
            let peer = connect(&identity, Service::Storage, url)
                .map_err(|error| Failure::usage(error.to_string()))?;
            RetentionClient::new(peer).report(request).await?
        }
        None if reach.auth.is_some() => {
            return Err(Failure::usage("what is kept is asked of storage: name it with --storage"));
        }
        None => {
            let reached = Reached::open(reach).await?;
            let report = match &reached.storage {
                Some(storage) => {
                    let reports = RetentionReports::new(storage.store.clone(), Arc::new(SystemClock), None);
                    reports.report(request).await
                }
                None => return Err(Failure::usage("no storage is there")),
            };
            reached.close().await;
            report?
        }
    };
    if reach.json {
        println!("{:#}", describe(&report));
    } else {
        print(&report);
    }
    Ok(())
}

fn describe(report: &RetentionReport) -> Value {
    let classes = report.classes.iter().map(|class| {
        let mut described =
            json!({ "name": class.name, "rule": rule_name(class.rule()), "keeps_ms": class.keeps_ms });
        if let Some(count) = &class.count {
            described["entries"] = count.entries.into();
            described["rows"] = count.rows.into();
            described["bytes"] = count.bytes.into();
            described["is_partial"] = count.is_partial.into();
            described["is_estimate"] = count.is_estimate.into();
            described["oldest_ms"] = count.oldest_ms.into();
            described["next_ms"] = count.next_ms.into();
            described["next_entries"] = count.next_entries.into();
        }
        described
    });
    json!({
        "plan": report.plan,
        "keeps_ms": report.keeps_ms,
        "sweep_keeps_ms": report.sweep_keeps_ms,
        "swept_ms": report.swept_ms,
        "now_ms": report.now_ms,
        "classes": classes.collect::<Vec<_>>(),
    })
}

fn print(report: &RetentionReport) {
    println!("Plan {}: nothing older than {} is served", report.plan, days(report.keeps_ms));
    if report.sweep_keeps_ms > report.keeps_ms {
        println!("The plan got shorter: what is over goes an hour after the change, by half days");
    }
    for class in &report.classes {
        println!("{:<14} {}", class.name, line(class, report.now_ms));
    }
    println!("Not counted: what has no number above. Things go by half days, an hour after the end of one.");
}

fn line(class: &RetentionClass, now_ms: u64) -> String {
    let rule = match class.rule() {
        RetentionRule::Plan => format!("{} by plan", days(class.keeps_ms)),
        RetentionRule::Fixed => format!("{} after it was written", days(class.keeps_ms)),
        RetentionRule::Idle => format!("{} after it was last used", days(class.keeps_ms)),
    };
    let Some(count) = &class.count else { return rule };
    if count.entries == 0 {
        return format!("{rule}; nothing is there");
    }
    let at_least = if count.is_partial { "at least " } else { "" };
    let about = if count.is_estimate { "about " } else { "" };
    let (unit, much) = match count.bytes {
        0 => ("half days of channels", format!("{about}{} messages", count.rows)),
        bytes => ("files", format!("{about}{bytes} bytes")),
    };
    let next = match count.next_ms.saturating_sub(now_ms) {
        0 => "with the next sweep".to_owned(),
        ms => format!("in {}", days(ms)),
    };
    format!(
        "{rule}; {at_least}{} {unit}, {much}; oldest {} old; next {} {next}",
        count.entries,
        days(now_ms.saturating_sub(count.oldest_ms)),
        count.next_entries,
    )
}

fn rule_name(rule: RetentionRule) -> &'static str {
    match rule {
        RetentionRule::Plan => "plan",
        RetentionRule::Fixed => "fixed",
        RetentionRule::Idle => "idle",
    }
}

/// Whole days, or hours when it is less than two days.
fn days(ms: u64) -> String {
    if ms >= 2 * DAY_MS { format!("{} days", ms / DAY_MS) } else { format!("{} hours", ms.div_ceil(HOUR_MS)) }
}
