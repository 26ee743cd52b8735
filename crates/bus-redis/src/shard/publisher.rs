use std::sync::Arc;

use super::{Commands, Shard};
use crate::Layout;
use crate::connect::{Failed, query};
use crate::core::{Backoff, Core};
use crate::names::{GAP_CHANNEL, channel_of};
use crate::shard::queue::Batch;

/// Publishes what waits for the shard until it is stopped.
pub(super) async fn run(core: Arc<Core>, shard: Arc<Shard>, mut first: Option<Commands>) {
    let mut backoff = Backoff::new(core.limits.retry_max);
    loop {
        let commands = match first.take() {
            Some(commands) => commands,
            None => {
                let opened = tokio::select! {
                    () = shard.stop.cancelled() => return,
                    opened = shard.open_commands(&core) => opened,
                };
                match opened {
                    Ok(commands) => commands,
                    Err(error) => {
                        tracing::warn!(shard = shard.address, %error, "cannot publish to a shard of the bus");
                        core.moved.notify_one();
                        tokio::select! {
                            () = shard.stop.cancelled() => return,
                            () = tokio::time::sleep(backoff.pause()) => continue,
                        }
                    }
                }
            }
        };
        backoff.connected();
        tracing::info!(shard = shard.address, "publishing to a shard of the bus");
        shard.serve_commands(Some(commands.clone()));
        let lost = tokio::select! {
            () = shard.stop.cancelled() => None,
            failed = serve(&core, &shard, commands.clone()) => Some(failed.of(&shard.address).to_string()),
            () = commands.lost.notified() => Some("the connection was closed".to_owned()),
        };
        shard.serve_commands(None);
        let Some(error) = lost else { return };
        tracing::warn!(shard = shard.address, error, "lost a shard of the bus");
        core.moved.notify_one();
        tokio::select! {
            () = shard.stop.cancelled() => return,
            () = tokio::time::sleep(backoff.pause()) => {}
        }
    }
}

/// One pipeline at a time: what comes meanwhile is the next one. What is under way when it ends is in doubt.
async fn serve(core: &Core, shard: &Shard, mut commands: Commands) -> Failed {
    loop {
        let Some(batch) = shard.publishes.take() else {
            let arrived = tokio::time::timeout(core.limits.ping, shard.publishes.arrived.notified()).await;
            if arrived.is_err() {
                let mut ping = redis::pipe();
                ping.cmd("PING");
                if let Err(failed) = query(&mut commands.connection, &ping, 1).await {
                    return failed;
                }
            }
            continue;
        };
        let (pipe, count) = pipeline_of(core.layout, &batch);
        if let Err(failed) = query(&mut commands.connection, &pipe, count).await {
            return failed;
        }
        shard.publishes.done();
        metrics::counter!("bulkhead_bus_frames_published_total").increment(batch.frames.len() as u64);
    }
}

fn pipeline_of(layout: Layout, batch: &Batch) -> (redis::Pipeline, usize) {
    let publish = match layout {
        Layout::Primaries => "PUBLISH",
        Layout::Cluster => "SPUBLISH",
    };
    let mut pipe = redis::Pipeline::with_capacity(batch.frames.len() + 1);
    if let Some(missed) = &batch.missed {
        // Not sharded even in a cluster: it reaches every node, and each subscriber keeps what is of its own slots.
        pipe.cmd("PUBLISH").arg(GAP_CHANNEL).arg(&missed.to_bytes()[..]);
    }
    for frame in &batch.frames {
        pipe.cmd(publish).arg(&channel_of(&frame.topic)[..]).arg(&frame.payload[..]);
    }
    (pipe, batch.frames.len() + usize::from(batch.missed.is_some()))
}
