//! Where an app lives that is not here. Known from configuration and from the digits of its App ID alone: no region asks
//! another one (design: region pinning, layer 5).

use bulkhead_model::{AppId, Error, ErrorKind, Region};
use bulkhead_token::SignedToken;

use crate::Gateway;

/// What becomes of an app that was not found: another region's, if the token that came along names an App ID of one. The
/// token is not judged for it; the digits of an App ID are no secret.
pub(crate) fn look_in_token(own: Region, error: Error, token: &str) -> Error {
    if error.kind() != ErrorKind::AppNotFound {
        return error;
    }
    let signed = SignedToken::decode(token).ok();
    let home = signed.and_then(|signed| signed.app_id().parse::<AppId>().ok()?.home());
    match home.filter(|home| *home != own) {
        Some(home) => ErrorKind::WrongRegion.with(home.name()),
        None => error,
    }
}

/// The words for a client whose app lives in another region, with the public address of it; `None` for every other error.
/// `verb` is what the client should do with the address.
pub(crate) fn directions(gateway: &Gateway, error: &Error, verb: &str) -> Option<String> {
    if error.kind() != ErrorKind::WrongRegion {
        return None;
    }
    let home: Region = error.message().parse().ok()?;
    Some(match gateway.settings.homes.get(&home) {
        Some(url) => format!("this app lives in region {home}; {verb} {url}"),
        None => format!("this app lives in region {home}"),
    })
}

#[cfg(test)]
mod tests {
    use bulkhead_token::build_chat_user_token;

    use super::*;

    #[test]
    fn an_app_that_is_not_here_is_looked_for_in_the_digits_of_its_token() {
        let missing = || Error::from(ErrorKind::AppNotFound);
        let of = |prefix: &str| {
            let app_id = format!("{prefix}{}", "0".repeat(30));
            build_chat_user_token(&app_id, &"c".repeat(32), "alice", 1_800_000_000, 600, 1).unwrap()
        };
        let look = |error, token: &str| look_in_token(Region::Singapore, error, token);
        let found = look(missing(), &of("71"));
        assert_eq!((found.kind(), found.message()), (ErrorKind::WrongRegion, "frankfurt"));
        for token in [of("61"), of("00"), String::new(), "nonsense".to_owned()] {
            assert_eq!(look(missing(), &token), missing());
        }
        let other = Error::from(ErrorKind::Unavailable);
        assert_eq!(look(other.clone(), &of("71")), other);
    }
}
