//! The codec and the session on the message path: one frame in, one frame out.

use std::hint::black_box;

use bulkhead_msync::proto::{self, CommSyncUl, MSync, MessageBody, Meta, Provision, m_sync, message_body};
use bulkhead_msync::{Command, Delivery, LoggedIn, Queue, QueueKind, Session, SessionLimits, codec};
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use prost::Message;

const NOW_MS: u64 = 1_800_000_000_000;

fn body() -> MessageBody {
    MessageBody {
        r#type: Some(message_body::Type::Chat.into()),
        from: Some(proto::Jid { name: Some("alice".into()), ..proto::Jid::default() }),
        to: Some(proto::Jid { name: Some("bob".into()), ..proto::Jid::default() }),
        contents: vec![message_body::Content { text: Some("x".repeat(200)), ..Default::default() }],
        ..MessageBody::default()
    }
}

fn frame(command: m_sync::Command, payload: Vec<u8>) -> MSync {
    MSync { command: Some(command.into()), payload: Some(payload.into()), ..MSync::default() }
}

fn sent_text() -> Bytes {
    let meta = Meta {
        id: Some(77),
        to: Some(proto::Jid {
            app_key: Some("demo#chat".into()),
            name: Some("bob".into()),
            domain: Some("easemob.com".into()),
            ..proto::Jid::default()
        }),
        ns: Some(proto::meta::NameSpace::Chat.into()),
        payload: Some(body().encode_to_vec().into()),
        ..Meta::default()
    };
    let sync = CommSyncUl { meta: Some(meta), ..CommSyncUl::default() };
    frame(m_sync::Command::Sync, sync.encode_to_vec()).encode_to_vec().into()
}

fn delivered_meta() -> Vec<u8> {
    let meta = Meta {
        id: Some(900_000_000_000_000_000),
        from: Some(proto::Jid { name: Some("alice".into()), ..proto::Jid::default() }),
        ns: Some(proto::meta::NameSpace::Chat.into()),
        payload: Some(body().encode_to_vec().into()),
        ..Meta::default()
    };
    meta.encode_to_vec()
}

fn live() -> Session {
    let limits = SessionLimits { idle_limit_ms: 120_000, login_limit_ms: 10_000, frame_rate_per_s: u32::MAX };
    let (mut session, mut out) = (Session::new(limits, NOW_MS), Vec::new());
    let login = MSync {
        guid: Some(proto::Jid {
            app_key: Some("demo#chat".into()),
            name: Some("bob".into()),
            ..Default::default()
        }),
        ..frame(m_sync::Command::Provision, Provision::default().encode_to_vec())
    };
    session.frame(&login.encode_to_vec().into(), NOW_MS, &mut out);
    let (user, device) = ("bob".to_owned(), "webim_1".to_owned());
    session.logged_in(Ok(LoggedIn { user, device, expires_ms: 0, behind: Vec::new() }), &mut out);
    session
}

fn benches(criterion: &mut Criterion) {
    let (sent, meta) = (sent_text(), delivered_meta());
    let queue = Queue::new(QueueKind::Direct, "alice");

    criterion.bench_function("decode a sent text", |bench| {
        bench.iter(|| codec::decode(black_box(&sent)).is_ok());
    });
    criterion.bench_function("read its body", |bench| {
        let body = body().encode_to_vec();
        bench.iter(|| codec::read_body(black_box(&body)));
    });
    criterion.bench_function("encode an acknowledgement", |bench| {
        bench.iter(|| codec::send_ack(black_box(77), 900_000_000_000_000_000, NOW_MS, b""));
    });
    criterion.bench_function("encode a delivery", |bench| {
        bench.iter(|| codec::delivery(black_box(&queue), black_box(&meta)));
    });
    criterion.bench_function("encode a page of 50", |bench| {
        bench.iter(|| codec::page(black_box(&queue), (0..50).map(|_| meta.as_slice()), 9, true, NOW_MS));
    });
    criterion.bench_function("a session publishes", |bench| {
        let (mut session, mut out) = (live(), Vec::new());
        bench.iter(|| {
            session.frame(black_box(&sent), NOW_MS, &mut out);
            session.published(77, &queue, Ok(Default::default()), NOW_MS, &mut out);
            out.clear();
        });
    });
    criterion.bench_function("a session is delivered to", |bench| {
        let (mut session, mut out) = (live(), Vec::new());
        let mut delivery = Delivery {
            frame: codec::delivery(&queue, &meta),
            queue: queue.clone(),
            id: 0,
            previous_id: 0,
            transient: false,
            except_user: String::new(),
            except_device: String::new(),
            only_device: String::new(),
            only_users: Vec::new(),
        };
        bench.iter(|| {
            (delivery.previous_id, delivery.id) = (delivery.id, delivery.id + 1);
            session.deliver(&delivery, &mut out);
            session.settle(NOW_MS, &mut out);
            for command in std::mem::take(&mut out) {
                if let Command::Ping(payload) = command {
                    session.pong(&payload, NOW_MS, &mut out);
                    session.confirmed(&mut out);
                }
            }
            out.clear();
        });
    });
}

criterion_group!(codec_benches, benches);
criterion_main!(codec_benches);
