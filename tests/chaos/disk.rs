//! The disk of the embedded engine is full in a region that runs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bulkhead_client::ClientError;
use bulkhead_testkit::{Rows, TestCluster};
use serde_json::json;

use crate::workload::Workload;

/// How soon everybody is refused once the disk is full, and goes on once storage was started again with room.
const LIMIT: Duration = Duration::from_secs(20);

/// What fits into a file of the full disk, in bytes: no more than the journal has by then.
const ROOM_BYTES: u64 = 1024 * 1024;

const PAIRS: usize = 20;

#[test]
fn a_full_disk_refuses_messages_and_loses_none_that_was_acknowledged() {
    crate::chaos("disk", Rows::Embedded, PAIRS, fill_the_disk);
}

async fn fill_the_disk(cluster: &mut TestCluster, workload: &mut Workload) -> Result<()> {
    cluster.process("storage")?.limit_file_size(ROOM_BYTES)?;
    let refusal = workload.is_refused("the disk is full", LIMIT).await?;
    // The code of what is not the client's fault; an SDK may try again.
    ensure!(matches!(refusal, ClientError::Refused { code: 1, .. }), "refused with {refusal}");
    let (status, body) = send_over_rest(cluster, workload).await?;
    ensure!(status == 503 && body["error"] == "service_unavailable", "{status} {body}");

    cluster.kill("storage")?;
    cluster.start_again("storage")?;
    workload.goes_on("there was room again", LIMIT).await
}

/// A message of the back end: status and body of the answer.
async fn send_over_rest(cluster: &TestCluster, workload: &Workload) -> Result<(u16, serde_json::Value)> {
    let app = cluster.app();
    let url = format!("http://{}/{}/{}/messages/users", cluster.gateway(0), app.org_name, app.app_name);
    let (from, to) = workload.anybody();
    let message = json!({"from": from, "to": [to], "type": "txt", "body": {"msg": "for a full disk"}});
    let request = reqwest::Client::new().post(url).bearer_auth(workload.app_token()?).json(&message);
    let answer = request.send().await.context("an answer over REST")?;
    let status = answer.status().as_u16();
    Ok((status, serde_json::from_str(&answer.text().await?)?))
}
