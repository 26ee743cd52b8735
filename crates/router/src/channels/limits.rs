//! How much of everything (features.md §3.6, §3.8, §7.2).

use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::router::ChannelSettings;

/// Most members of one group or room, the owner included.
pub(crate) const MEMBERS_MAX: u32 = 10_000;
/// What a group or room has room for when its maker does not say.
pub(crate) const GROUP_MEMBERS_DEFAULT: u32 = 200;
pub(crate) const ROOM_MEMBERS_DEFAULT: u32 = 1_000;
/// Most users of one call that adds or removes.
pub(crate) const USERS_PER_CALL_MAX: usize = 100;
/// Most groups and rooms that one user is in.
pub(crate) const CHANNELS_PER_USER_MAX: usize = 1_000;
/// Most entries of one page.
pub(crate) const PAGE_MAX: u32 = 1_000;
/// Entries that are read to reach a page by its number.
pub(crate) const PAGED_ENTRIES_MAX: u32 = 10_000;
/// Longest words that go with a join, in bytes.
pub(crate) const EXT_BYTES_MAX: usize = 1_024;

const NAME_CHARS_MAX: usize = 128;
const DESCRIPTION_CHARS_MAX: usize = 512;
const CUSTOM_BYTES_MAX: usize = 8 * 1024;
const AVATAR_BYTES_MAX: usize = 1_024;

/// Refuses settings outside their bounds.
pub(crate) fn check_settings(settings: &ChannelSettings) -> Result<()> {
    let wrong = |what: &'static str| Err(ErrorKind::InvalidArgument.with(what));
    let longer = |text: &Option<String>, chars: usize| {
        text.as_ref().is_some_and(|text| text.len() > chars && text.chars().count() > chars)
    };
    if settings.name.as_ref().is_some_and(String::is_empty) || longer(&settings.name, NAME_CHARS_MAX) {
        return wrong("a name is 1-128 characters");
    }
    if longer(&settings.description, DESCRIPTION_CHARS_MAX) {
        return wrong("a description is at most 512 characters");
    }
    if settings.custom.as_ref().is_some_and(|custom| custom.len() > CUSTOM_BYTES_MAX) {
        return wrong("custom is at most 8192 bytes");
    }
    if settings.avatar.as_ref().is_some_and(|avatar| avatar.len() > AVATAR_BYTES_MAX) {
        return wrong("avatar length is too big");
    }
    if settings.members_max.is_some_and(|members| !(1..=MEMBERS_MAX).contains(&members)) {
        return wrong("maxusers is between 1 and 10000");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_let_through_up_to_their_limits() {
        let name = |chars: usize| ChannelSettings { name: Some("ü".repeat(chars)), ..Default::default() };
        let described =
            |chars: usize| ChannelSettings { description: Some("ü".repeat(chars)), ..Default::default() };
        let custom = |bytes: usize| ChannelSettings { custom: Some("x".repeat(bytes)), ..Default::default() };
        let avatar = |bytes: usize| ChannelSettings { avatar: Some("x".repeat(bytes)), ..Default::default() };
        let members = |members: u32| ChannelSettings { members_max: Some(members), ..Default::default() };
        for good in [name(1), name(128), described(0), described(512), custom(8192), avatar(1024)] {
            assert_eq!(check_settings(&good), Ok(()));
        }
        for wrong in
            [name(0), name(129), described(513), custom(8193), avatar(1025), members(0), members(10_001)]
        {
            assert_eq!(check_settings(&wrong).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
        assert_eq!(check_settings(&members(1)).and(check_settings(&members(10_000))), Ok(()));
    }
}
