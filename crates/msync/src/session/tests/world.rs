use super::*;

#[derive(Clone, Debug)]
enum Step {
    Publish,
    Pull { keyed: bool },
    Page { late: bool },
    Pong,
    Confirm,
    Unread,
    Overflow,
}

proptest! {
    #[test]
    fn no_bytes_make_a_session_panic(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20)) {
        let mut play = Play::live(&["bob"]);
        for frame in frames {
            play.frame(frame.into());
        }
    }

    /// Whatever the order of messages, pulls, pongs and losses: a client that pulls when it is told to has every message of
    /// the log in the end, and sees ids rise strictly apart from what it has seen before. What it has proven to have is not
    /// pulled again, however long the proof takes to the router: it remembers only the last hundred (msync.md §3).
    #[test]
    fn nothing_is_lost_whatever_happens_on_the_way(steps in prop::collection::vec(
        prop_oneof![
            4 => Just(Step::Publish),
            2 => any::<bool>().prop_map(|keyed| Step::Pull { keyed }),
            3 => any::<bool>().prop_map(|late| Step::Page { late }),
            2 => Just(Step::Pong),
            1 => Just(Step::Confirm),
            1 => Just(Step::Unread),
            1 => Just(Step::Overflow),
        ],
        1..120,
    )) {
        World::new().play(steps)?;
    }
}

/// A log, the router's cursor for the device, and a client that does what the web SDK does.
struct World {
    play: Play,
    log: Vec<u64>,
    cursor: u64,
    /// A page that the router has read and that is on its way.
    reading: Option<(Vec<u64>, u64, bool)>,
    unread: bool,
    recount: bool,
    confirm: Option<u64>,
    /// The ping that is under way, and the newest id that was sent before it.
    ping: Option<(Vec<u8>, u64)>,
    /// The newest id that the client has proven to have.
    proven: u64,
    got: Vec<u64>,
    wants_pull: Option<u64>,
}

impl World {
    fn new() -> Self {
        Self {
            play: Play::live(&[]),
            log: Vec::new(),
            cursor: 0,
            reading: None,
            unread: false,
            recount: false,
            confirm: None,
            ping: None,
            proven: 0,
            got: Vec::new(),
            wants_pull: None,
        }
    }

    fn play(mut self, steps: Vec<Step>) -> Result<(), TestCaseError> {
        for step in steps {
            self.step(step);
            self.absorb()?;
        }
        // Let everything that is under way arrive; then a keep-alive finds what is left.
        for _ in 0..6 {
            for _ in 0..20 {
                for step in
                    [Step::Pong, Step::Confirm, Step::Page { late: false }, Step::Pull { keyed: true }]
                {
                    self.step(step);
                    self.absorb()?;
                }
            }
            self.play.now_ms += 10_000;
            self.play.frame(unread());
            self.absorb()?;
            self.step(Step::Unread);
            self.absorb()?;
        }
        prop_assert!(!self.play.session.is_closed());
        let mut seen = self.got.clone();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(&seen, &self.log);
        // What the client shows, having dropped what it saw before, is in the order of the log.
        let mut shown: Vec<u64> = Vec::new();
        self.got.iter().for_each(|id| {
            if !shown.contains(id) {
                shown.push(*id)
            }
        });
        prop_assert_eq!(&shown, &self.log);
        prop_assert_eq!(self.cursor, self.log.last().copied().unwrap_or(0));
        Ok(())
    }

    fn step(&mut self, step: Step) {
        let play = &mut self.play;
        match step {
            Step::Publish => {
                let previous = self.log.last().copied().unwrap_or(0);
                self.log.push(previous + 10);
                play.deliver("bob", previous + 10, previous);
            }
            Step::Pull { keyed } => {
                if let Some(key) = self.wants_pull {
                    if keyed {
                        self.wants_pull = None;
                        play.frame(pull("bob", (key != 0).then_some(key)));
                    } else {
                        play.frame(pull("bob", None));
                    }
                }
            }
            Step::Page { late } => {
                if let Some((ids, next_key, is_last)) = self.reading.take() {
                    if late {
                        // A message comes between the reading of the page and its arrival.
                        let previous = self.log.last().copied().unwrap_or(0);
                        self.log.push(previous + 10);
                        play.deliver("bob", previous + 10, previous);
                    }
                    play.page("bob", &ids, next_key, is_last);
                }
            }
            Step::Pong => {
                if let Some((ping, sent_before)) = self.ping.take() {
                    self.proven = self.proven.max(sent_before);
                    play.session.pong(&ping, play.now_ms, &mut play.out);
                }
            }
            Step::Confirm => {
                if let Some(id) = self.confirm.take() {
                    self.cursor = self.cursor.max(id);
                    play.session.confirmed(&mut play.out);
                }
            }
            Step::Unread => {
                let lacks = self.log.last().is_some_and(|last| *last > self.cursor);
                if std::mem::take(&mut self.unread) {
                    let queues = if lacks { vec![(direct("bob"), 1)] } else { vec![] };
                    play.session.unread(Some(queues), play.now_ms, &mut play.out);
                }
                if std::mem::take(&mut self.recount) {
                    let queues = if lacks { vec![direct("bob")] } else { vec![] };
                    play.session.recounted(Some(queues), &mut play.out);
                }
            }
            Step::Overflow => {
                // One message is dropped on the way.
                let previous = self.log.last().copied().unwrap_or(0);
                self.log.push(previous + 10);
                play.session.overflowed(&mut play.out);
            }
        }
        play.now_ms += 50;
    }

    /// Does as client and router what the session asks for.
    fn absorb(&mut self) -> Result<(), TestCaseError> {
        for did in self.play.did() {
            match did {
                Did::Pushed(ids) => self.got.extend(ids),
                Did::Paged { ids, next_key } => {
                    self.got.extend(ids);
                    self.wants_pull = Some(next_key);
                }
                Did::Noticed(_) => self.wants_pull = self.wants_pull.or(Some(0)),
                Did::Unread(queues) if !queues.is_empty() => self.wants_pull = self.wants_pull.or(Some(0)),
                Did::Ping(ping) => self.ping = Some((ping, self.got.iter().copied().max().unwrap_or(0))),
                Did::Confirm(positions) => self.confirm = Some(positions[0].1),
                Did::AskUnread => self.unread = true,
                Did::Recount => self.recount = true,
                Did::Pull(_, key) => {
                    self.cursor = self.cursor.max(key);
                    prop_assert!(self.cursor >= self.proven, "the page repeats what is proven");
                    let rest: Vec<u64> = self.log.iter().copied().filter(|id| *id > self.cursor).collect();
                    let page: Vec<u64> = rest.iter().copied().take(3).collect();
                    let next_key = page.last().copied().unwrap_or(0);
                    self.reading = Some((page.clone(), next_key, page.len() == rest.len()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
