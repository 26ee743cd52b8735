//! The router over gRPC: unary calls by table, the message path over two long-lived streams.

mod attach;
mod client;
mod confirmations;
mod events;
mod outcomes;
mod publisher;
mod server;

pub use client::RouterClient;
pub use server::RouterServer;

use bulkhead_api::RouterApi;
use bulkhead_model::Result;
use bulkhead_proto::router::{
    AttachRequest, ChangeOwnerRequest, ChannelInfo, ChannelPage, ChannelRequest, ChannelsOfAppRequest,
    ChannelsOfUserRequest, CloseSessionRequest, ConfirmBatch, ConfirmOutcomes, ConfirmRequest,
    CreateChannelRequest, DeviceList, DisconnectRequest, Disconnected, Done, HistoryRequest, JoinRequest,
    Joined, ListMembersRequest, Member, MemberPage, MemberRequest, MembersChanged, MembersRequest,
    MessageDelivered, MessageStatusRequest, OfflineCount, OpenSessionRequest, OpenedSession, Page,
    PresenceList, PresenceRequest, PublishBatch, PublishRequest, PullRequest, SessionRequest, SlotMap,
    SlotsRequest, UnreadQueues, UpdateChannelRequest, UserRequest, router_server,
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
        create_channel = create_channel (CreateChannelRequest) -> ChannelInfo;
        update_channel = update_channel (UpdateChannelRequest) -> ChannelInfo;
        change_owner = change_owner (ChangeOwnerRequest) -> ChannelInfo;
        channel = channel (ChannelRequest) -> ChannelInfo;
        channels_of_app = channels_of_app (ChannelsOfAppRequest) -> ChannelPage;
        channels_of_user = channels_of_user (ChannelsOfUserRequest) -> ChannelPage;
        add_members = add_members (MembersRequest) -> MembersChanged;
        remove_members = remove_members (MembersRequest) -> MembersChanged;
        join = join (JoinRequest) -> Joined;
        members = members (ListMembersRequest) -> MemberPage;
        member = member (MemberRequest) -> Member;
        slots = slots (SlotsRequest) -> SlotMap;
    }
    done {
        close_session (CloseSessionRequest) -> Done;
        forget_user (UserRequest) -> Done;
        destroy_channel (ChannelRequest) -> Done;
        leave (MemberRequest) -> Done;
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

        async fn confirm(&self, request: Request<ConfirmBatch>) -> Result<Response<ConfirmOutcomes>, Status> {
            confirmations::answer(&*self.api, request.into_inner()).await.map(Response::new)
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

        async fn confirm(&self, request: ConfirmRequest) -> Result<()> {
            self.confirmer.confirm(request).await
        }
    }
}
