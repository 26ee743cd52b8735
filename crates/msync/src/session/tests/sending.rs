use super::*;

#[test]
fn a_text_is_published_with_its_bytes_untouched_and_acknowledged() {
    let mut play = Play::live(&[]);
    let entry = KeyValue {
        key: Some("k".into()),
        r#type: Some(7),
        value: Some(key_value::Value::StringValue("v".into())),
    };
    let body = body(message_body::Type::Chat, "hi");
    play.frame(send(Meta {
        ext: vec![entry.clone()],
        routetype: Some(proto::meta::RouteType::RouteOnline.into()),
        ..chat(77, "Bob", &body)
    }));
    let Some(Command::Publish(publish)) = play.out.pop() else { panic!("not published") };
    assert_eq!((publish.client_id, &publish.to), (77, &direct("bob")));
    assert_eq!(publish.payload, body.encode_to_vec());
    assert_eq!(Meta::decode(publish.extensions).unwrap().ext, [entry]);
    assert!(publish.online_only && publish.sync_devices);
    let ack = Ack { id: 900, timestamp_ms: NOW_MS, ..Ack::default() };
    play.session.published(77, &direct("bob"), Ok(ack), NOW_MS, &mut play.out);
    assert_eq!(play.did(), [Did::Acked { client_id: 77, id: 900 }]);
}

#[test]
fn receipts_recalls_and_edits_carry_the_message_they_mean() {
    let mut play = Play::live(&[]);
    use message_body::Type;
    for (kind, target, syncs) in [
        (Type::ReadAck, 5, true),
        (Type::DeliverAck, 5, false),
        (Type::Recall, 5, true),
        (Type::Edit, 6, true),
        (Type::ChannelAck, 0, true),
    ] {
        let body = MessageBody { ack_message_id: Some(5), edit_message_id: Some(6), ..body(kind, "") };
        play.frame(send(chat(1, "bob", &body)));
        let Some(Command::Publish(publish)) = play.out.pop() else { panic!("{kind:?} is not published") };
        assert_eq!((publish.kind, publish.target_id, publish.sync_devices), (kind, target, syncs));
    }
}

#[test]
fn groups_rooms_and_threads_are_told_apart() {
    let mut play = Play::live(&[]);
    let thread =
        MessageBody { meta: Some(r#"{"thread":{}}"#.into()), ..body(message_body::Type::Groupchat, "") };
    for (body, kind) in [
        (body(message_body::Type::Groupchat, ""), QueueKind::Group),
        (body(message_body::Type::Chatroom, ""), QueueKind::Room),
        (thread, QueueKind::Thread),
    ] {
        play.frame(send(Meta { to: Some(jid("7", "conference.easemob.com")), ..chat(1, "", &body) }));
        let Some(Command::Publish(publish)) = play.out.pop() else { panic!("{kind:?} is not published") };
        assert_eq!(publish.to, Queue::new(kind, "7"));
    }
}

#[test]
fn what_cannot_be_sent_is_refused_and_the_session_goes_on() {
    let mut play = Play::live(&[]);
    let body = body(message_body::Type::Chat, "");
    play.frame(send(chat(1, "no such/name", &body)));
    play.frame(send(Meta { to: None, ..chat(2, "", &body) }));
    play.frame(send(Meta { ns: Some(NameSpace::Roster.into()), ..chat(3, "bob", &body) }));
    play.frame(send(Meta { to: Some(jid("a b", "conference.easemob.com")), ..chat(4, "", &body) }));
    let nack = |client_id, reason: &str| Did::Nacked { client_id, code: 1, reason: reason.into() };
    assert_eq!(
        play.did(),
        [
            nack(1, "username doesn't exist!"),
            nack(2, "username doesn't exist!"),
            nack(3, "this call is not implemented"),
            nack(4, "group not found"),
        ]
    );
    assert!(play.session.wants_frames());
}

#[test]
fn a_message_at_the_limit_passes_and_one_byte_more_is_too_large() {
    let mut play = Play::live(&[]);
    let sized = |bytes: usize| body(message_body::Type::Chat, &"x".repeat(bytes));
    let overhead = sized(1000).contents[0].encoded_len() - 1000;
    play.frame(send(chat(1, "bob", &sized(MESSAGE_BYTES_MAX - overhead))));
    play.frame(send(chat(2, "bob", &sized(MESSAGE_BYTES_MAX - overhead + 1))));
    let refused = Did::Nacked { client_id: 2, code: 7, reason: "Sorry, data is too large".into() };
    assert_eq!(play.did(), [Did::Publish(1), refused]);
}

#[test]
fn a_refusal_of_the_router_reaches_the_sender() {
    let mut play = Play::live(&[]);
    play.frame(text(9));
    let error: Error = ErrorKind::Blocked.into();
    play.session.published(9, &direct("bob"), Err(error), NOW_MS, &mut play.out);
    assert_eq!(
        play.did(),
        [Did::Publish(9), Did::Nacked { client_id: 9, code: 1, reason: "blocked".into() }]
    );
}
