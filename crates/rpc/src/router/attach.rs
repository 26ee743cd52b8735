//! The server's side of `Attach`: a sink that the router delivers into, and a task that sends what is in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulkhead_api::{DeliverySink, RouterApi};
use bulkhead_model::ErrorKind;
use bulkhead_proto::router::{GatewayEvent, GatewayEvents, gateway_event};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::limits::{BATCH_BYTES_TARGET, BATCH_ENTRIES_MAX, GATEWAY_WAITING_BYTES_MAX};
use crate::status_from_error;

/// Messages of one stream that wait for the transport; what waits behind them is gathered into fewer, larger ones.
const STREAM_MESSAGES_MAX: usize = 4;

/// Longest name of a gateway, in bytes.
const GATEWAY_NAME_BYTES_MAX: usize = 128;

/// Most gateways of one router.
const GATEWAYS_MAX: usize = 1024;

/// The gateways that are attached over gRPC.
pub(super) struct Attachments {
    api: Arc<dyn RouterApi>,
    stop: CancellationToken,
    open: Mutex<HashMap<String, Attachment>>,
}

struct Attachment {
    end: CancellationToken,
    task: JoinHandle<()>,
}

impl Attachments {
    pub(super) fn new(api: Arc<dyn RouterApi>, stop: CancellationToken) -> Self {
        Self { api, stop, open: Mutex::default() }
    }

    /// Attaches a gateway to the router; it stays attached as long as the stream is read. A gateway that is attached
    /// already is detached first, so that the end of its old stream cannot end the new one.
    pub(super) async fn attach(
        &self,
        gateway: &str,
    ) -> Result<mpsc::Receiver<Result<GatewayEvents, Status>>, Status> {
        if gateway.is_empty() || gateway.len() > GATEWAY_NAME_BYTES_MAX {
            let wrong = ErrorKind::InvalidArgument.with("a gateway's name is 1-128 bytes");
            return Err(status_from_error(&wrong));
        }
        let mut open = self.open.lock().await;
        open.retain(|_, attachment| !attachment.task.is_finished());
        if let Some(old) = open.remove(gateway) {
            old.end.cancel();
            // Waits for the router to have forgotten it; an end by panic is an end too.
            let _ = old.task.await;
        }
        if open.len() >= GATEWAYS_MAX {
            return Err(status_from_error(&ErrorKind::RateLimited.with("too many gateways are attached")));
        }

        let end = self.stop.child_token();
        let (queue, queued) = mpsc::unbounded_channel();
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let sink = StreamSink { queue, waiting_bytes: waiting_bytes.clone(), end: end.clone() };
        let sink: Arc<dyn DeliverySink> = Arc::new(sink);
        self.api.attach(gateway, sink).await.map_err(|error| status_from_error(&error))?;

        let (stream, events) = mpsc::channel(STREAM_MESSAGES_MAX);
        let pump = Pump { queued, waiting_bytes, stream, end: end.clone() };
        let (api, name) = (self.api.clone(), gateway.to_owned());
        let task = tokio::spawn(async move {
            pump.run().await;
            if let Err(error) = api.detach(&name).await {
                tracing::warn!(gateway = name, %error, "the router could not detach a gateway");
            }
        });
        open.insert(gateway.to_owned(), Attachment { end, task });
        Ok(events)
    }
}

/// Where the router delivers for one gateway.
struct StreamSink {
    queue: mpsc::UnboundedSender<(usize, Vec<GatewayEvent>)>,
    waiting_bytes: Arc<AtomicUsize>,
    end: CancellationToken,
}

impl DeliverySink for StreamSink {
    fn deliver(&self, events: Vec<GatewayEvent>) {
        let bytes = events.iter().map(event_bytes).sum();
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting > GATEWAY_WAITING_BYTES_MAX {
            if !self.end.is_cancelled() {
                tracing::warn!(waiting, "a gateway does not take its events and is detached");
                metrics::counter!("bulkhead_rpc_gateways_too_slow_total").increment(1);
            }
            self.end.cancel();
            return;
        }
        // Without a receiver the stream has ended, and with it the attachment.
        let _ = self.queue.send((bytes, events));
    }

    fn detached(&self) {
        self.end.cancel();
    }
}

/// Roughly what an event takes on the wire and in memory.
fn event_bytes(event: &GatewayEvent) -> usize {
    const FIXED: usize = 128;
    const CHANNEL: usize = 32;
    match &event.event {
        Some(gateway_event::Event::Delivery(delivery)) => FIXED + delivery.meta.len(),
        Some(gateway_event::Event::ChannelDelivery(delivery)) => FIXED + delivery.meta.len(),
        Some(gateway_event::Event::Memberships(all)) => FIXED + all.channels.len() * CHANNEL,
        Some(gateway_event::Event::Membership(_) | gateway_event::Event::Recount(_)) => FIXED,
        Some(gateway_event::Event::Kick(kick)) => FIXED + kick.detail.len(),
        None => FIXED,
    }
}

/// Moves events from the sink to the stream, as many at a time as wait.
struct Pump {
    queued: mpsc::UnboundedReceiver<(usize, Vec<GatewayEvent>)>,
    waiting_bytes: Arc<AtomicUsize>,
    stream: mpsc::Sender<Result<GatewayEvents, Status>>,
    end: CancellationToken,
}

impl Pump {
    /// Returns when the gateway is gone, the router is gone, or the gateway was too slow.
    async fn run(mut self) {
        let (end, stream) = (self.end.clone(), self.stream.clone());
        tokio::select! {
            () = end.cancelled() => {}
            () = stream.closed() => {}
            () = self.forward() => {}
        }
    }

    async fn forward(&mut self) {
        while let Some((mut bytes, mut events)) = self.queued.recv().await {
            while bytes < BATCH_BYTES_TARGET && events.len() < BATCH_ENTRIES_MAX {
                let Ok((more_bytes, more)) = self.queued.try_recv() else { break };
                bytes += more_bytes;
                events.extend(more);
            }
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            if self.stream.send(Ok(GatewayEvents { events })).await.is_err() {
                return;
            }
        }
    }
}
