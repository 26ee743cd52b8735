//! What calls on groups and calls on rooms have in common: how they name the channel and who asks.

use bulkhead_model::{ErrorKind, fold_username};
use bulkhead_proto::router::{Actor, ChannelInfo, ChannelRequest, ChannelSettings, Queue, QueueKind};

use super::call::Call;
use super::caller::Caller;
use super::error::RestError;

/// Most entries of any page that the router answers.
pub(super) const PAGE_MAX: u32 = 1_000;

/// Groups or rooms, as a type parameter of the handlers that serve both.
pub(super) trait ChannelKind: Send + Sync + 'static {
    /// The kind at the router.
    const KIND: QueueKind;
    /// The field of an answer that holds the channel's id.
    const ID: &'static str;
    /// Most users that one call may remove (features.md §3.7, §3.8).
    const REMOVED_MAX: usize;

    /// The queue of that id.
    fn queue(id: &str) -> Queue {
        Queue { name: fold_username(id), kind: Self::KIND.into() }
    }
}

/// Groups (features.md §3.6, §3.7).
pub(super) struct Groups;

impl ChannelKind for Groups {
    const KIND: QueueKind = QueueKind::Group;
    const ID: &'static str = "groupid";
    const REMOVED_MAX: usize = 60;
}

/// Chat rooms (features.md §3.8).
pub(super) struct Rooms;

impl ChannelKind for Rooms {
    const KIND: QueueKind = QueueKind::Room;
    const ID: &'static str = "id";
    const REMOVED_MAX: usize = 100;
}

impl Caller {
    /// Who asks, as the router judges it: a user token acts as its user, an app token as nobody in particular.
    pub(super) fn actor(&self) -> Option<Actor> {
        let user = self.username()?.to_owned();
        Some(Actor { user, device: self.call.query("resource").unwrap_or_default().to_owned() })
    }

    /// The user whose token it is and the device that it calls from; 401 for an app token, which is nobody to join or
    /// to leave.
    pub(super) fn require_user(&self) -> Result<Actor, RestError> {
        self.actor().ok_or_else(|| ErrorKind::PermissionDenied.into())
    }
}

/// One channel as the caller sees it.
pub(super) async fn find<K: ChannelKind>(caller: &Caller, id: &str) -> Result<ChannelInfo, RestError> {
    let request =
        ChannelRequest { app: caller.call.app_bytes(), channel: Some(K::queue(id)), actor: caller.actor() };
    Ok(caller.call.gateway.router.channel(request).await?)
}

/// The id of an answered channel.
pub(super) fn id_of(info: &ChannelInfo) -> &str {
    info.channel.as_ref().map(|channel| channel.name.as_str()).unwrap_or_default()
}

/// The settings of an answered channel.
pub(super) fn settings_of(info: &ChannelInfo) -> ChannelSettings {
    info.settings.clone().unwrap_or_default()
}

/// A user's name with the app's in front, as some answers have it (features.md §3.6).
pub(super) fn full_name(call: &Call, user: &str) -> String {
    format!("{}#{}_{user}", call.app.org_name, call.app.app_name)
}

/// A page as `pagenum` and `pagesize` ask for it: (number from 1, size). Without either it is the first `default`
/// entries; page 0 is the first too, because clients count from 0 or from 1.
pub(super) fn numbered_page(call: &Call, default: u32) -> Result<(u32, u32), RestError> {
    let number = |name: &'static str, absent: u32| match call.query(name) {
        None | Some("") => Ok(absent),
        Some(text) => {
            text.parse::<u32>().map_err(|_| RestError::illegal(format!("{name} must be a positive number")))
        }
    };
    let size = number("pagesize", default)?;
    if size == 0 {
        return Err(RestError::illegal("pagesize must be a positive number"));
    }
    Ok((number("pagenum", 1)?.max(1), size.min(PAGE_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::fakes;

    #[test]
    fn a_numbered_page_has_defaults_and_bounds() {
        let page = |query: &str| numbered_page(&fakes::call("/chatrooms", query), 10);
        assert_eq!(page("").unwrap(), (1, 10));
        assert_eq!(page("pagenum=0&pagesize=5").unwrap(), (1, 5));
        assert_eq!(page("pagenum=3&pagesize=5000").unwrap(), (3, 1000));
        for wrong in ["pagesize=0", "pagesize=-1", "pagenum=x", "pagenum=99999999999"] {
            assert_eq!(page(wrong).unwrap_err().status.as_u16(), 400, "{wrong}");
        }
    }
}
