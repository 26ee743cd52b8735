use super::*;

#[test]
fn a_kick_tells_the_client_why_and_closes() {
    for operation in 1..=4 {
        let mut play = Play::live(&[]);
        play.session.kick(operation.try_into().unwrap(), "words", NOW_MS, &mut play.out);
        let told = Did::KickedOut { operation, reason: "words".into() };
        assert_eq!(play.did(), [told, Did::Close(CloseReason::Kicked)]);
    }
    let mut play = Play::live(&[]);
    play.session.kick(Operation::Information, "", NOW_MS, &mut play.out);
    assert_eq!(play.did(), [Did::Close(CloseReason::Kicked)]);
}

#[test]
fn a_drained_session_answers_what_it_took_and_closes() {
    let mut play = Play::live(&[]);
    play.frame(text(1));
    play.session.drain(&mut play.out);
    assert!(!play.session.wants_frames());
    assert_eq!(play.did(), [Did::Publish(1)]);
    let ack = Ack { id: 5, ..Ack::default() };
    play.session.published(1, &direct("bob"), Ok(ack), NOW_MS, &mut play.out);
    assert_eq!(play.did(), [Did::Acked { client_id: 1, id: 5 }, Did::Close(CloseReason::Restart)]);
    for mut play in [Play::live(&[]), Play::new()] {
        play.session.drain(&mut play.out);
        assert_eq!(play.did(), [Did::Close(CloseReason::Restart)]);
    }
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 80, "{}", size_of::<Session>());
    assert!(size_of::<Live>() <= 192, "{}", size_of::<Live>());
}
