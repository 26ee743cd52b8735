use super::*;

#[test]
fn messages_are_pushed_and_proven_by_the_pong() {
    let mut play = Play::live(&[]);
    play.deliver("bob", 10, 4);
    play.deliver("bob", 11, 10);
    play.deliver("carol", 20, 0);
    let ping = 1u32.to_be_bytes().to_vec();
    assert_eq!(
        play.did(),
        [Did::Pushed(vec![10]), Did::Pushed(vec![11]), Did::Pushed(vec![20]), Did::Ping(ping.clone())]
    );
    play.deliver("bob", 12, 11);
    assert_eq!(play.did(), [Did::Pushed(vec![12])]);
    play.session.pong(&ping, NOW_MS, &mut play.out);
    assert_eq!(
        play.did(),
        [
            Did::Confirm(vec![("bob".into(), 11), ("carol".into(), 20)]),
            Did::Ping(2u32.to_be_bytes().to_vec())
        ]
    );
}

#[test]
fn a_gap_turns_a_queue_behind_with_one_notice_until_it_is_pulled_to_its_end() {
    let mut play = Play::live(&[]);
    play.deliver("bob", 10, 9);
    play.deliver("bob", 13, 12);
    play.deliver("bob", 14, 13);
    assert_eq!(play.did_but_ping(), [Did::Pushed(vec![10]), Did::Noticed("bob".into())]);
    play.frame(pull("bob", None));
    play.page("bob", &[11, 12, 13, 14], 14, true);
    play.frame(pull("bob", Some(14)));
    play.page("bob", &[], 0, true);
    play.deliver("bob", 15, 14);
    assert_eq!(
        play.did_but_ping(),
        [
            Did::Pull("bob".into(), 0),
            Did::Paged { ids: vec![11, 12, 13, 14], next_key: 14 },
            Did::Pull("bob".into(), 14),
            Did::Finished,
            Did::Pushed(vec![15]),
        ]
    );
}

#[test]
fn a_queue_that_was_behind_at_login_is_pulled_and_not_pushed() {
    let mut play = Play::live(&["bob"]);
    play.deliver("bob", 10, 9);
    play.deliver("carol", 5, 4);
    assert_eq!(play.did_but_ping(), [Did::Pushed(vec![5])]);
    play.frame(unread());
    play.session.unread(Some(vec![(direct("bob"), 3)]), NOW_MS, &mut play.out);
    assert_eq!(play.did_but_ping(), [Did::AskUnread, Did::Unread(vec![("bob".into(), 3)])]);
}

#[test]
fn a_queue_that_turns_out_not_to_lack_anything_is_pushed_to_again() {
    let mut play = Play::live(&["bob", "carol"]);
    // What was known at login was old.
    play.deliver("carol", 21, 20);
    play.session.unread(None, NOW_MS, &mut play.out);
    assert_eq!(play.did_but_ping(), [Did::Unread(vec![])], "no answer says nothing");
    play.deliver("bob", 5, 4);
    play.session.unread(Some(vec![]), NOW_MS, &mut play.out);
    let noticed = |name: &str| Did::Noticed(name.into());
    assert_eq!(play.did_but_ping(), [Did::Unread(vec![]), noticed("bob"), noticed("carol")]);

    let mut play = Play::live(&["bob"]);
    play.session.unread(Some(vec![]), NOW_MS, &mut play.out);
    play.deliver("bob", 12, 11);
    assert_eq!(
        play.did_but_ping(),
        [Did::Unread(vec![]), noticed("bob")],
        "what is before it was never seen"
    );
    play.frame(pull("bob", None));
    play.page("bob", &[12], 12, true);
    play.frame(pull("bob", Some(12)));
    play.page("bob", &[], 0, true);
    play.did();
    play.deliver("bob", 13, 12);
    assert_eq!(play.did_but_ping(), [Did::Pushed(vec![13])]);
}

#[test]
fn a_message_that_comes_while_the_last_page_is_read_is_not_forgotten() {
    let mut play = Play::live(&["bob"]);
    play.frame(pull("bob", None));
    // The router read the page before this one.
    play.deliver("bob", 12, 11);
    play.page("bob", &[], 0, true);
    assert_eq!(play.did(), [Did::Pull("bob".into(), 0), Did::Finished, Did::Noticed("bob".into())]);
    play.frame(pull("bob", None));
    play.page("bob", &[12], 12, true);
    play.frame(pull("bob", Some(12)));
    play.page("bob", &[], 0, true);
    play.deliver("bob", 13, 12);
    assert_eq!(play.did_but_ping().pop(), Some(Did::Pushed(vec![13])));
}

#[test]
fn a_message_that_is_in_a_page_already_is_not_pushed_after_it() {
    let mut play = Play::live(&["bob"]);
    play.frame(pull("bob", None));
    play.page("bob", &[11, 12], 12, true);
    play.frame(pull("bob", Some(12)));
    play.page("bob", &[], 0, true);
    play.did();
    play.deliver("bob", 12, 11);
    assert_eq!(play.did(), []);
}

#[test]
fn echoes_of_a_pull_are_not_answered_twice() {
    let mut play = Play::live(&["bob"]);
    play.frame(pull("bob", None));
    play.frame(pull("bob", None));
    play.page("bob", &[11], 11, false);
    play.frame(pull("bob", None));
    assert_eq!(play.did_but_ping(), [Did::Pull("bob".into(), 0), Did::Paged { ids: vec![11], next_key: 11 }]);
    play.frame(pull("bob", Some(11)));
    assert_eq!(play.did(), [Did::Pull("bob".into(), 11)]);
    // A client that has forgotten the page may ask again later. What it has proven before needs no second look.
    play.page("bob", &[12], 12, false);
    play.did();
    play.now_ms += 3_000;
    play.frame(pull("bob", None));
    assert_eq!(play.did(), [Did::Pull("bob".into(), 11)]);
}

#[test]
fn a_key_that_no_page_had_hides_nothing_later() {
    let mut play = Play::live(&["bob"]);
    play.frame(pull("bob", Some(u64::MAX)));
    play.page("bob", &[], 0, true);
    play.deliver("bob", 12, 11);
    play.frame(pull("bob", None));
    let pulls: Vec<_> = play.did().into_iter().filter(|did| matches!(did, Did::Pull(..))).collect();
    assert_eq!(pulls, [Did::Pull("bob".into(), u64::MAX), Did::Pull("bob".into(), 0)]);
}

#[test]
fn a_page_that_is_all_for_others_is_passed_over_without_the_client() {
    let mut play = Play::live(&["bob"]);
    play.frame(pull("bob", None));
    play.page("bob", &[], 30, false);
    play.page("bob", &[31], 31, true);
    assert_eq!(
        play.did_but_ping(),
        [Did::Pull("bob".into(), 0), Did::Pull("bob".into(), 30), Did::Paged { ids: vec![31], next_key: 31 }]
    );
}

#[test]
fn a_pull_that_fails_is_ended_and_the_queue_stays_behind() {
    let mut play = Play::live(&["bob"]);
    play.frame(pull("bob", None));
    play.session.page(&direct("bob"), Err(ErrorKind::Unavailable.into()), NOW_MS, &mut play.out);
    play.deliver("bob", 12, 11);
    assert_eq!(play.did(), [Did::Pull("bob".into(), 0), Did::Finished]);
    play.frame(pull("bob", None));
    assert_eq!(play.did(), [Did::Pull("bob".into(), 0)]);
}

#[test]
fn a_page_is_proven_by_its_key_or_else_by_the_pong() {
    for key_comes_first in [true, false] {
        let mut play = Play::live(&["bob"]);
        play.frame(pull("bob", None));
        play.page("bob", &[11], 11, true);
        let Some(Did::Ping(ping)) = play.did().pop() else { panic!("no ping") };
        if key_comes_first {
            play.frame(pull("bob", Some(11)));
        }
        play.did();
        play.session.pong(&ping, NOW_MS, &mut play.out);
        let expected = if key_comes_first { vec![] } else { vec![Did::Confirm(vec![("bob".into(), 11)])] };
        assert_eq!(play.did(), expected);
    }
}

#[test]
fn a_device_passes_over_what_it_sent_itself_and_what_is_for_another() {
    let mut play = Play::live(&[]);
    play.deliver("bob", 10, 9);
    let own = Delivery { except_device: "webim_1".into(), ..delivery("bob", 11, 10) };
    play.session.deliver(&own, &mut play.out);
    let others = Delivery { only_device: "webim_2".into(), ..delivery("bob", 12, 11) };
    play.session.deliver(&others, &mut play.out);
    let mine = Delivery { only_device: "webim_1".into(), ..delivery("bob", 13, 12) };
    play.session.deliver(&mine, &mut play.out);
    assert_eq!(play.did_but_ping(), [Did::Pushed(vec![10]), Did::Pushed(vec![13])]);
}

#[test]
fn the_device_s_own_message_takes_its_place_in_the_chain() {
    let mut play = Play::live(&[]);
    play.deliver("bob", 10, 9);
    let ack = |id, previous_id| Ok(Ack { id, previous_id, ..Ack::default() });
    play.session.published(1, &direct("bob"), ack(11, 10), NOW_MS, &mut play.out);
    play.deliver("bob", 12, 11);
    assert_eq!(play.did_but_ping().pop(), Some(Did::Pushed(vec![12])));
    // An acknowledgement that overtakes a message does not hide it.
    play.session.published(2, &direct("bob"), ack(14, 13), NOW_MS, &mut play.out);
    play.deliver("bob", 13, 12);
    assert_eq!(play.did_but_ping().pop(), Some(Did::Pushed(vec![13])));
}

#[test]
fn a_message_for_those_who_are_there_is_pushed_whatever_the_queue() {
    let mut play = Play::live(&["bob"]);
    let transient = |id| Delivery { transient: true, ..delivery("bob", id, 0) };
    play.session.deliver(&transient(99), &mut play.out);
    let own = Delivery { except_device: "webim_1".into(), ..transient(100) };
    play.session.deliver(&own, &mut play.out);
    let ping = 1u32.to_be_bytes().to_vec();
    assert_eq!(play.did(), [Did::Pushed(vec![99]), Did::Ping(ping.clone())]);
    play.session.pong(&ping, NOW_MS, &mut play.out);
    assert_eq!(play.did(), []);
}

#[test]
fn only_so_many_pushes_are_unproven_and_then_the_client_pulls() {
    let mut play = Play::live(&[]);
    for id in 1..=UNPROVEN_PUSHES_MAX as u64 + 5 {
        play.deliver("bob", id, id - 1);
    }
    let did = play.did_but_ping();
    assert_eq!(did.iter().filter(|did| matches!(did, Did::Pushed(_))).count(), UNPROVEN_PUSHES_MAX);
    assert_eq!(did.len(), UNPROVEN_PUSHES_MAX + 1);
    assert_eq!(did.last(), Some(&Did::Noticed("bob".into())));
}

#[test]
fn a_keep_alive_does_not_list_what_was_pushed_and_waits_for_its_proof() {
    let mut play = Play::live(&[]);
    play.deliver("bob", 10, 9);
    let Some(Did::Ping(ping)) = play.did().pop() else { panic!("no ping") };
    play.session.unread(Some(vec![(direct("bob"), 1)]), NOW_MS, &mut play.out);
    assert_eq!(play.did(), [Did::Unread(vec![])]);
    play.session.pong(&ping, NOW_MS, &mut play.out);
    play.did();
    // Proven and still lacking: it was lost on the way, so the client pulls it.
    play.session.unread(Some(vec![(direct("bob"), 1)]), NOW_MS, &mut play.out);
    play.deliver("bob", 12, 11);
    assert_eq!(play.did(), [Did::Unread(vec![("bob".into(), 1)])]);
}

#[test]
fn dropped_deliveries_are_recounted_and_nothing_is_pushed_meanwhile() {
    let mut play = Play::live(&[]);
    play.deliver("bob", 10, 9);
    play.did();
    play.session.overflowed(&mut play.out);
    play.session.overflowed(&mut play.out);
    play.deliver("bob", 12, 11);
    assert_eq!(play.did(), [Did::Recount, Did::Noticed("bob".into())]);
    play.session.recounted(Some(vec![direct("bob"), direct("carol")]), &mut play.out);
    assert_eq!(play.did(), [Did::Noticed("carol".into())]);
    play.deliver("dave", 7, 6);
    assert_eq!(play.did_but_ping(), [Did::Pushed(vec![7])]);
    play.session.overflowed(&mut play.out);
    play.session.recounted(None, &mut play.out);
    assert_eq!(play.did(), [Did::Recount, Did::Close(CloseReason::Unavailable)]);
}

#[test]
fn more_queues_than_are_remembered_are_noticed_instead_of_pushed() {
    let names: Vec<String> = (0..queues::QUEUES_MAX + 10).map(|n| format!("u{n:05}")).collect();
    let mut play = Play::live(&names.iter().map(String::as_str).collect::<Vec<_>>());
    play.deliver("zoe", 5, 4);
    assert_eq!(play.did(), [Did::Noticed("zoe".into())]);
    play.frame(pull("zoe", None));
    play.page("zoe", &[5], 5, true);
    play.frame(pull("zoe", Some(5)));
    play.page("zoe", &[], 0, true);
    assert_eq!(
        play.did_but_ping(),
        [
            Did::Pull("zoe".into(), 0),
            Did::Paged { ids: vec![5], next_key: 5 },
            Did::Pull("zoe".into(), 5),
            Did::Finished
        ]
    );
    play.deliver("zoe", 6, 5);
    assert_eq!(play.did(), [Did::Noticed("zoe".into())]);
}
