//! What a change comes to once it is durable: an answer, and steps that members hear of, in order.

use std::sync::Arc;

use bulkhead_proto::router::{ChannelDelivery, ChannelInfo, Delivery, MemberChange, Membership};

use super::event::{MucEvent, Operation};
use super::key::ChannelRef;
use crate::directory::AppFacts;
use crate::fanout::Fanout;

/// What the caller is answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changed {
    pub(crate) info: ChannelInfo,
    pub(crate) changes: Vec<MemberChange>,
    /// Nothing had to be done.
    pub(crate) already: bool,
}

/// See the module.
pub(crate) struct Effect {
    pub(crate) key: ChannelRef,
    pub(crate) app: Arc<AppFacts>,
    pub(crate) changed: Changed,
    pub(crate) steps: Vec<Step>,
    /// The highest id that was given.
    pub(crate) id: u64,
}

/// One thing that members hear of.
pub(crate) enum Step {
    /// Users come in. Those who are there are told first; who comes knows of it already.
    Enter {
        id: u64,
        users: Vec<String>,
        ext: String,
        count: usize,
    },
    /// Users go, and those who stay are told.
    Exit {
        id: u64,
        users: Vec<String>,
        count: usize,
    },
    /// Users are out without a word to anybody.
    Drop {
        users: Vec<String>,
    },
    Tell(Box<Note>),
}

/// An event of its own.
pub(crate) struct Note {
    pub(crate) id: u64,
    pub(crate) operation: Operation,
    pub(crate) from: String,
    pub(crate) to: Option<String>,
    /// The name of the channel, where the event shows it.
    pub(crate) name: String,
    /// JSON that goes with the event.
    pub(crate) detail: String,
    pub(crate) audience: Audience,
}

pub(crate) enum Audience {
    /// All members but one user's device.
    Members { except_user: String, except_device: String },
    /// One user, but not on this device.
    User { user: String, except_device: String },
}

/// The steps of a batch, with those that follow one another and say the same put together: a thousand users who join a
/// room in one batch are one event for those who are in it.
#[derive(Default)]
pub(crate) struct Steps {
    waiting: Vec<(ChannelRef, Arc<AppFacts>, Step)>,
}

impl Steps {
    pub(crate) fn add(&mut self, key: &ChannelRef, app: &Arc<AppFacts>, step: Step) {
        match (self.waiting.last_mut(), step) {
            (
                Some((last, _, Step::Enter { users, ext, count, .. })),
                Step::Enter { users: more, ext: words, count: now, .. },
            ) if last == key && ext.is_empty() && words.is_empty() => {
                users.extend(more);
                *count = now;
            }
            (
                Some((last, _, Step::Exit { users, count, .. })),
                Step::Exit { users: more, count: now, .. },
            ) if last == key => {
                users.extend(more);
                *count = now;
            }
            (_, step) => self.waiting.push((key.clone(), app.clone(), step)),
        }
    }

    /// Hands everything that waits to the gateways that are interested.
    pub(crate) fn flush(&mut self, fanout: &mut Fanout<'_>) {
        for (key, app, step) in self.waiting.drain(..) {
            carry_out(fanout, &key, &app.app_key, step);
        }
    }
}

fn carry_out(fanout: &mut Fanout<'_>, key: &ChannelRef, app_key: &str, step: Step) {
    match step {
        Step::Enter { id, users, ext, count } => {
            presence(fanout, key, app_key, id, Operation::Presence, &users, &ext, count);
            users.iter().for_each(|user| note(fanout, key, user, true));
        }
        Step::Exit { id, users, count } => {
            users.iter().for_each(|user| note(fanout, key, user, false));
            presence(fanout, key, app_key, id, Operation::Absence, &users, "", count);
        }
        Step::Drop { users } => users.iter().for_each(|user| note(fanout, key, user, false)),
        Step::Tell(note) => tell(fanout, key, app_key, *note),
    }
}

#[expect(clippy::too_many_arguments, reason = "the two directions differ in nothing else")]
fn presence(
    fanout: &mut Fanout<'_>,
    key: &ChannelRef,
    app_key: &str,
    id: u64,
    operation: Operation,
    users: &[String],
    ext: &str,
    count: usize,
) {
    let Some(first) = users.first() else { return };
    let event = MucEvent {
        app_key,
        key,
        id,
        operation,
        from: first,
        to: None,
        // Clients take a list for more than one.
        members: if users.len() > 1 { users } else { &[] },
        name: "",
        member_count: count,
        ext,
        detail: "",
    };
    fanout.reach_channel(key, || transient(key, id, &event));
}

fn tell(fanout: &mut Fanout<'_>, key: &ChannelRef, app_key: &str, note: Note) {
    let event = MucEvent {
        app_key,
        key,
        id: note.id,
        operation: note.operation,
        from: &note.from,
        to: note.to.as_deref(),
        members: &[],
        name: &note.name,
        member_count: 0,
        ext: "",
        detail: &note.detail,
    };
    match note.audience {
        Audience::Members { except_user, except_device } => {
            // An exception without a user would be one for everybody.
            fanout.reach_channel(key, || ChannelDelivery {
                except_device: if except_user.is_empty() { String::new() } else { except_device },
                except_user,
                ..transient(key, note.id, &event)
            });
        }
        Audience::User { user, except_device } => fanout.to(key.app(), &user, || Delivery {
            app: key.app().0.to_vec().into(),
            user: user.clone(),
            queue: Some(key.queue()),
            id: note.id,
            transient: true,
            meta: event.encode(),
            except_device,
            ..Delivery::default()
        }),
    }
}

fn transient(key: &ChannelRef, id: u64, event: &MucEvent<'_>) -> ChannelDelivery {
    ChannelDelivery {
        app: key.app().0.to_vec().into(),
        queue: Some(key.queue()),
        id,
        transient: true,
        meta: event.encode(),
        ..ChannelDelivery::default()
    }
}

fn note(fanout: &mut Fanout<'_>, key: &ChannelRef, user: &str, joined: bool) {
    fanout.note(key, user, || Membership {
        app: key.app().0.to_vec().into(),
        user: user.to_owned(),
        channel: Some(key.queue()),
        joined,
    });
}
