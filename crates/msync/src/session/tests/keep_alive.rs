use super::*;

#[test]
fn a_keep_alive_is_answered_even_when_the_router_is_not() {
    let mut play = Play::live(&[]);
    play.frame(unread());
    play.session.unread(Some(Vec::new()), NOW_MS, &mut play.out);
    assert_eq!(play.did(), [Did::AskUnread, Did::Unread(vec![])]);
}

#[test]
fn a_silent_socket_is_closed_and_a_pong_counts_as_a_sign_of_life() {
    let mut play = Play::live(&[]);
    play.session.pong(b"any", NOW_MS + 100_000, &mut play.out);
    play.session.tick(NOW_MS + LIMITS.idle_limit_ms, &mut play.out);
    assert_eq!(play.did(), []);
    play.session.tick(NOW_MS + 100_000 + LIMITS.idle_limit_ms, &mut play.out);
    assert_eq!(play.did(), [Did::Close(CloseReason::Idle)]);
}

#[test]
fn frames_above_the_rate_end_the_session() {
    let mut play = Play::new();
    play.session = Session::new(SessionLimits { frame_rate_per_s: 10, ..LIMITS }, NOW_MS);
    play.frame(login("x"));
    play.session.logged_in(Ok(logged_in(&[], 0)), &mut play.out);
    (0..9).for_each(|_| play.frame(send(Meta { ns: Some(0), ..Meta::default() })));
    assert!(!play.session.is_closed());
    play.frame(unread());
    assert_eq!(play.did().pop(), Some(Did::Close(CloseReason::Policy)));
}

#[test]
fn a_frame_that_means_nothing_ends_the_session() {
    for frame in
        [Bytes::from_static(b"\xff\xff"), up(Word::Sync, vec![]), Bytes::new(), up(Word::Notice, vec![])]
    {
        let mut play = Play::live(&[]);
        play.frame(frame);
        assert_eq!(play.did(), [Did::Close(CloseReason::Malformed)]);
    }
    let mut play = Play::live(&[]);
    play.frame(send(Meta {
        payload: Some(Bytes::from_static(b"\x0b")),
        ..chat(1, "bob", &MessageBody::default())
    }));
    assert_eq!(play.did(), [Did::Close(CloseReason::Malformed)]);
}

#[test]
fn statistics_are_ignored_and_a_logout_closes() {
    let mut play = Play::live(&[]);
    play.frame(send(Meta { id: Some(1), ns: Some(NameSpace::Statistic.into()), ..Meta::default() }));
    assert_eq!(play.did(), []);
    play.frame(up(Word::Logout, vec![]));
    assert_eq!(play.did(), [Did::Close(CloseReason::LoggedOut)]);
}

#[test]
fn a_session_with_too_much_in_flight_wants_no_more_frames() {
    let mut play = Play::live(&[]);
    for client_id in 1..=u64::from(IN_FLIGHT_MAX) {
        assert!(play.session.wants_frames());
        play.frame(text(client_id));
    }
    assert!(!play.session.wants_frames());
    play.session.published(1, &direct("bob"), Ok(Ack::default()), NOW_MS, &mut play.out);
    assert!(play.session.wants_frames());
}
