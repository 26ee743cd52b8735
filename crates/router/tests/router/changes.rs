//! Recall and edit (msync.md §4, features.md §7.2).

use bulkhead_model::ErrorKind;
use bulkhead_model::limits::{EDITS_MAX, RECALL_WINDOW_MS};
use bulkhead_proto::auth::{UpdateAppRequest, update_app_request::Change};
use bulkhead_proto::records::{ContentKind, MessageKind};
use bulkhead_proto::router::{PublishRequest, Published};

use crate::bed::{Bed, START_MS, text_body};

fn recall(bed: &Bed, from: &str, to: &str, target_id: u64) -> PublishRequest {
    PublishRequest { kind: MessageKind::Recall.into(), target_id, ..bed.text(from, to, "") }
}

fn edit(bed: &Bed, from: &str, to: &str, target_id: u64, text: &str) -> PublishRequest {
    PublishRequest { kind: MessageKind::Edit.into(), target_id, ..bed.text(from, to, text) }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

async fn hello(bed: &Bed) -> Published {
    bed.send(bed.text("alice", "bob", "hello there")).await
}

#[tokio::test]
async fn a_recalled_message_is_gone_from_history_and_the_recall_is_delivered() {
    let bed = Bed::start().await;
    bed.open("bob", "web_2").await;
    let id = hello(&bed).await.id;
    bed.events.delivery().await;
    let recalled = bed.send(recall(&bed, "alice", "bob", id)).await;
    let delivery = bed.events.delivery().await;
    assert_eq!((delivery.id, delivery.previous_id), (recalled.id, id));
    assert!(bed.history_all(bed.history("bob", "alice", 10)).await.is_empty());
    assert_eq!(bed.refusal(recall(&bed, "alice", "bob", id)).await, ErrorKind::MessageNotFound);
    assert_eq!(bed.refusal(edit(&bed, "alice", "bob", id, "x")).await, ErrorKind::MessageNotFound);
}

#[tokio::test]
async fn a_recall_under_the_client_id_of_its_text_is_no_resend_of_it() {
    let bed = Bed::start().await;
    let numbered = |request| PublishRequest { from_device: "web_1".into(), client_id: 5, ..request };
    let text = bed.send(numbered(bed.text("alice", "bob", "hello there"))).await;
    let recalled = bed.send(numbered(recall(&bed, "alice", "bob", text.id))).await;
    assert!(recalled.id > text.id && !recalled.duplicate);
    assert!(bed.history_all(bed.history("bob", "alice", 10)).await.is_empty());
    let again = bed.send(numbered(recall(&bed, "alice", "bob", text.id))).await;
    assert_eq!((again.id, again.duplicate), (recalled.id, true));
}

#[tokio::test]
async fn only_the_author_recalls_and_only_in_time_unless_the_app_does() {
    let bed = Bed::start().await;
    let id = hello(&bed).await.id;
    assert_eq!(bed.refusal(recall(&bed, "bob", "alice", id)).await, ErrorKind::NotAuthor);
    assert_eq!(bed.refusal(recall(&bed, "carol", "bob", id)).await, ErrorKind::MessageNotFound);
    assert_eq!(bed.refusal(recall(&bed, "alice", "bob", id + 1)).await, ErrorKind::MessageNotFound);
    bed.clock.advance_ms(RECALL_WINDOW_MS + 1);
    assert_eq!(bed.refusal(recall(&bed, "alice", "bob", id)).await, ErrorKind::RecallTooLate);
    let by_app = PublishRequest { administrative: true, ..recall(&bed, "alice", "bob", id) };
    bed.send(by_app).await;
    let id = hello(&bed).await.id;
    bed.clock.advance_ms(RECALL_WINDOW_MS);
    bed.send(recall(&bed, "alice", "bob", id)).await;
}

#[tokio::test]
async fn commands_and_receipts_cannot_be_recalled() {
    let bed = Bed::start().await;
    let command = PublishRequest { content: ContentKind::Command.into(), ..bed.text("alice", "bob", "") };
    let receipt = PublishRequest { kind: MessageKind::ReadAck.into(), ..bed.text("alice", "bob", "") };
    for request in [command, receipt] {
        let id = bed.send(request).await.id;
        assert_eq!(bed.refusal(recall(&bed, "alice", "bob", id)).await, ErrorKind::MessageNotFound);
    }
}

#[tokio::test]
async fn an_app_can_switch_recall_off_and_set_its_window() {
    let change = async |bed: &Bed, change| {
        bed.auth.update_app(UpdateAppRequest { uuid: bed.app.clone(), change: Some(change) }).await.unwrap();
    };
    let off = Bed::start().await;
    change(&off, Change::RecallDisabled(true)).await;
    let id = hello(&off).await.id;
    assert_eq!(off.refusal(recall(&off, "alice", "bob", id)).await, ErrorKind::RecallDisabled);
    let short = Bed::start().await;
    change(&short, Change::RecallWindowMs(1000)).await;
    let id = hello(&short).await.id;
    short.clock.advance_ms(1001);
    assert_eq!(short.refusal(recall(&short, "alice", "bob", id)).await, ErrorKind::RecallTooLate);
}

#[tokio::test]
async fn an_edit_changes_the_log_and_tells_everybody_the_same() {
    let bed = Bed::start().await;
    bed.open("bob", "web_2").await;
    let original = hello(&bed).await;
    bed.events.delivery().await;
    bed.clock.advance_ms(500);
    let edited = bed.send(edit(&bed, "alice", "bob", original.id, "good bye")).await;
    let json = format!(
        r#"{{"edit_msg":{{"count":1,"operator":"alice","edit_time":{},"sender":"alice","send_time":{},"chat_type":"chat:user"}}}}"#,
        START_MS + 500,
        original.timestamp_ms,
    );
    assert_eq!(edited.notify, json);
    let delivery = bed.events.delivery().await;
    assert!(holds(&delivery.meta, "good bye") && holds(&delivery.meta, &json));
    let page = bed.router_history("bob", "alice").await;
    assert_eq!(page.len(), 1);
    let (id, meta) = &page[0];
    assert_eq!(*id, original.id);
    assert!(holds(meta, "good bye") && holds(meta, &json) && !holds(meta, "hello there"));
    bed.send(edit(&bed, "alice", "bob", original.id, "third")).await;
    let (_, meta) = &bed.router_history("bob", "alice").await[0];
    assert!(holds(meta, "third") && holds(meta, r#""count":2"#) && !holds(meta, r#""count":1,"#));
}

#[tokio::test]
async fn a_resent_edit_is_acknowledged_with_the_same_notice() {
    let mut bed = Bed::start().await;
    let id = hello(&bed).await.id;
    let request =
        PublishRequest { from_device: "web_1".into(), client_id: 9, ..edit(&bed, "alice", "bob", id, "x") };
    let first = bed.send(request.clone()).await;
    bed.crash().await;
    let again = bed.send(request).await;
    assert!(again.duplicate && !again.notify.is_empty());
    assert_eq!((again.id, again.notify), (first.id, first.notify));
}

#[tokio::test]
async fn edits_are_limited_to_the_author_to_text_and_in_number() {
    let bed = Bed::start().await;
    let id = hello(&bed).await.id;
    assert_eq!(bed.refusal(edit(&bed, "bob", "alice", id, "x")).await, ErrorKind::NotAuthor);
    assert_eq!(bed.refusal(edit(&bed, "alice", "carol", id, "x")).await, ErrorKind::MessageNotFound);
    let image = PublishRequest { content: ContentKind::Image.into(), ..edit(&bed, "alice", "bob", id, "x") };
    assert_eq!(bed.refusal(image).await, ErrorKind::EditNotAvailable);
    let broken = PublishRequest { payload: vec![0x22, 9].into(), ..edit(&bed, "alice", "bob", id, "x") };
    let refused = bed.try_send(broken).await.unwrap_err();
    assert_eq!(refused.message(), "Sorry, format is incorrect");
    for n in 0..EDITS_MAX {
        bed.send(edit(&bed, "alice", "bob", id, &format!("edit {n}"))).await;
    }
    assert_eq!(bed.refusal(edit(&bed, "alice", "bob", id, "x")).await, ErrorKind::EditLimitReached);
    let picture = PublishRequest { content: ContentKind::Image.into(), ..bed.text("alice", "bob", "") };
    let picture = bed.send(picture).await.id;
    assert_eq!(bed.refusal(edit(&bed, "alice", "bob", picture, "x")).await, ErrorKind::EditNotAvailable);
}

#[tokio::test]
async fn edits_and_a_recall_of_one_batch_see_each_other() {
    let bed = Bed::start().await;
    let id = hello(&bed).await.id;
    bed.store.set(crate::switches::Writes::Hold);
    let blocker = bed.publish(bed.text("alice", "bob", "blocks the lane"));
    let edits: Vec<_> = (0..=EDITS_MAX).map(|_| bed.publish(edit(&bed, "alice", "bob", id, "x"))).collect();
    let recalls: Vec<_> = (0..2).map(|_| bed.publish(recall(&bed, "alice", "bob", id))).collect();
    bed.store.set(crate::switches::Writes::Apply);
    blocker.wait().await.unwrap();
    let mut outcomes = Vec::new();
    for pending in edits.into_iter().chain(recalls) {
        outcomes.push(pending.wait().await.map_err(|error| error.kind()));
    }
    assert!(outcomes[..10].iter().all(Result::is_ok));
    assert_eq!(outcomes[10], Err(ErrorKind::EditLimitReached));
    assert!(outcomes[11].is_ok());
    assert_eq!(outcomes[12], Err(ErrorKind::MessageNotFound));
    assert!(text_body("x").len() > 1);
}
