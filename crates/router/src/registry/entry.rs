//! One session as an entry of the registry.

use bulkhead_bus::{Entry, RegistryPut, Topic};
use bulkhead_model::AppUuid;
use bulkhead_proto::router::SessionEntry;
use bytes::Bytes;
use prost::Message;

/// A session of this router, as far as the others are to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Entered {
    pub(crate) app: AppUuid,
    pub(crate) user: String,
    pub(crate) session: u64,
    pub(crate) device: String,
    pub(crate) platform: String,
    pub(crate) opened_ms: u64,
}

impl Entered {
    pub(super) fn topic(&self) -> Topic {
        Topic::user(self.app, &self.user)
    }

    /// `origin` names this run, `router` its row.
    pub(super) fn put(&self, origin: &str, router: &str) -> RegistryPut {
        let value = SessionEntry {
            router: router.to_owned(),
            session: self.session,
            device: self.device.clone(),
            platform: self.platform.clone(),
            opened_ms: self.opened_ms,
        };
        RegistryPut {
            key: self.topic(),
            field: field(origin, self.session),
            value: Bytes::from(value.encode_to_vec()),
        }
    }
}

/// The field of a session. It stays when its router joins again under another id, so that the entry is replaced.
pub(super) fn field(origin: &str, session: u64) -> Bytes {
    [origin.as_bytes(), &session.to_be_bytes()].concat().into()
}

/// The session of another run; `None` for one of this run, and for what cannot be read.
pub(super) fn of_another(origin: &str, entry: Entry) -> Option<SessionEntry> {
    if entry.field.starts_with(origin.as_bytes()) {
        return None;
    }
    SessionEntry::decode(entry.value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_of_its_own_run_and_reads_back_at_another_one() {
        let entered = Entered {
            app: AppUuid([7; 16]),
            user: "alice".into(),
            session: 9,
            device: "web_1".into(),
            platform: "web".into(),
            opened_ms: 5,
        };
        let put = entered.put("0123456789abcdef", "router-1");
        assert_eq!(put.key, Topic::user(entered.app, "alice"));
        let entry = || Entry { field: put.field.clone(), value: put.value.clone() };
        assert!(of_another("0123456789abcdef", entry()).is_none());
        let read = of_another("fedcba9876543210", entry()).unwrap();
        assert_eq!((read.router.as_str(), read.session, read.device.as_str()), ("router-1", 9, "web_1"));
        let damaged = Entry { field: put.field.clone(), value: Bytes::from_static(&[0xff; 3]) };
        assert!(of_another("fedcba9876543210", damaged).is_none());
    }
}
