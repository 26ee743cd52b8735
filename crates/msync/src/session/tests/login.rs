use super::*;

#[test]
fn a_login_is_judged_and_answered_with_the_device_and_the_end_of_the_credential() {
    let mut play = Play::new();
    play.frame(login("$t$token"));
    assert!(!play.session.is_live());
    assert!(matches!(play.out.pop(), Some(Command::Login(request)) if request.token == "token"));
    play.session.logged_in(Ok(logged_in(&[], 5_000)), &mut play.out);
    assert_eq!(
        play.did(),
        [Did::Provisioned { device: "webim_1".into(), expires: r#"{"expires_in":5000}"#.into() }]
    );
    assert!(play.session.is_live());
}

#[test]
fn a_refused_login_is_told_why_and_closed() {
    let mut play = Play::new();
    play.frame(login("x"));
    play.session.logged_in(Err(ErrorKind::TokenExpired.into()), &mut play.out);
    assert_eq!(
        play.did(),
        [
            Did::Login,
            Did::Refused { code: 1, reason: "Sorry, token expired".into() },
            Did::Close(CloseReason::Refused)
        ]
    );
    assert!(play.session.is_closed() && !play.session.wants_frames());
}

#[test]
fn a_login_that_fails_for_now_is_closed_without_a_final_answer() {
    let mut play = Play::new();
    play.frame(login("x"));
    play.session.logged_in(Err(ErrorKind::Unavailable.into()), &mut play.out);
    assert_eq!(play.did(), [Did::Login, Did::Close(CloseReason::Unavailable)]);
}

#[test]
fn nothing_but_a_login_is_accepted_before_it() {
    for frame in [text(1), unread(), pull("bob", None)] {
        let mut play = Play::new();
        play.frame(frame.clone());
        assert_eq!(play.did(), [Did::Close(CloseReason::Policy)]);
        let mut play = Play::new();
        play.frame(login("x"));
        play.frame(frame);
        assert_eq!(play.did(), [Did::Login, Did::Close(CloseReason::Policy)]);
    }
}

#[test]
fn a_second_login_on_a_session_ends_it() {
    let mut play = Play::live(&[]);
    play.frame(login("x"));
    assert_eq!(play.did(), [Did::Close(CloseReason::Policy)]);
}

#[test]
fn a_socket_that_does_not_log_in_is_closed_in_time() {
    let mut play = Play::new();
    assert_eq!(play.session.deadline_ms(), NOW_MS + LIMITS.login_limit_ms);
    play.session.tick(NOW_MS + LIMITS.login_limit_ms - 1, &mut play.out);
    assert_eq!(play.did(), []);
    play.session.tick(NOW_MS + LIMITS.login_limit_ms, &mut play.out);
    assert_eq!(play.did(), [Did::Close(CloseReason::Idle)]);
}

#[test]
fn a_late_outcome_of_a_login_changes_nothing() {
    let mut play = Play::new();
    play.frame(login("x"));
    play.session.tick(NOW_MS + LIMITS.login_limit_ms, &mut play.out);
    play.session.logged_in(Ok(logged_in(&[], 0)), &mut play.out);
    assert_eq!(play.did(), [Did::Login, Did::Close(CloseReason::Idle)]);
}
