//! The router over gRPC: unary calls by table, the message path over two long-lived streams.

mod attach;
mod client;
mod events;
mod outcomes;
mod publisher;
mod server;

pub use client::RouterClient;
pub use server::RouterServer;

use bulkhead_api::RouterApi;
use bulkhead_model::Result;
use bulkhead_proto::router::{
    AttachRequest, CloseSessionRequest, ConfirmRequest, DeviceList, DisconnectRequest, Disconnected, Done,
    HistoryRequest, MessageDelivered, MessageStatusRequest, OfflineCount, OpenSessionRequest, OpenedSession,
    Page, PresenceList, PresenceRequest, PublishBatch, PublishRequest, PullRequest, SessionRequest,
    UnreadQueues, UserRequest, router_server,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::unary::unary_calls;

unary_calls! {
    RouterApi, router_server::Router => RouterServer, RouterClient;
    answers {
        open_session = open_session (OpenSessionRequest) -> OpenedSession;
        unread = unread (SessionRequest) -> UnreadQueues;
        pull = pull (PullRequest) -> Page;
        history = history (HistoryRequest) -> Page;
        devices = devices (UserRequest) -> DeviceList;
        presence = presence (PresenceRequest) -> PresenceList;
        disconnect = disconnect (DisconnectRequest) -> Disconnected;
        offline_count = offline_counts (UserRequest) -> OfflineCount;
        message_status = message_status (MessageStatusRequest) -> MessageDelivered;
    }
    done {
        close_session (CloseSessionRequest) -> Done;
        confirm (ConfirmRequest) -> Done;
        forget_user (UserRequest) -> Done;
    }
    server {
        type AttachStream = server::EventStream;
        type PublishStream = server::OutcomeStream;

        async fn attach(&self, request: Request<AttachRequest>) -> Result<Response<Self::AttachStream>, Status> {
            let events = self.attachments.attach(&request.into_inner().gateway).await?;
            Ok(Response::new(ReceiverStream::new(events)))
        }

        async fn publish(
            &self,
            request: Request<Streaming<PublishBatch>>,
        ) -> Result<Response<Self::PublishStream>, Status> {
            let outcomes = outcomes::answer_publishes(self.api.clone(), request.into_inner(), self.stop.clone());
            Ok(Response::new(ReceiverStream::new(outcomes)))
        }
    }
    client {
        async fn attach(
            &self,
            gateway: &str,
            sink: std::sync::Arc<dyn bulkhead_api::DeliverySink>,
        ) -> Result<()> {
            self.attachments.attach(gateway, sink).await
        }

        async fn detach(&self, gateway: &str) -> Result<()> {
            self.attachments.detach(gateway);
            Ok(())
        }

        fn publish(&self, request: PublishRequest) -> bulkhead_api::PendingPublish {
            self.publisher.publish(request)
        }
    }
}
