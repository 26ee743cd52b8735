//! What a request to make or to change a group or room says: its fields under all the names that SDKs give them.

use bulkhead_model::{ErrorKind, fold_username};
use bulkhead_proto::router::{ChannelSettings, CreateChannelRequest};
use http::StatusCode;
use serde_json::{Map, Value};

use super::body::invalid_body;
use super::caller::Caller;
use super::channel_kind::ChannelKind;
use super::error::RestError;

/// Most first members of a new channel.
const FIRST_MEMBERS_MAX: usize = 100;

/// Reads a request to make a channel. A user token makes it for its user and nobody else, under an id that the router
/// chooses.
pub(super) fn read_creation<K: ChannelKind>(
    caller: &Caller,
    body: &Value,
) -> Result<CreateChannelRequest, RestError> {
    let fields = body.as_object().ok_or_else(invalid_body)?;
    let settings = read_settings(fields)?.0;
    if settings.name.is_none() {
        return Err(missing("groupname"));
    }
    let owner = text(fields, &["owner"])?.filter(|owner| !owner.is_empty());
    let owner = match (owner, caller.username()) {
        (Some(owner), _) => {
            caller.require_app_or_self(&owner)?;
            caller.username().map_or_else(|| fold_username(&owner), str::to_owned)
        }
        (None, Some(user)) => user.to_owned(),
        (None, None) => return Err(missing("owner")),
    };
    let id = text(fields, &[K::ID])?.unwrap_or_default();
    if !id.is_empty() {
        caller.require_app()?;
    }
    Ok(CreateChannelRequest {
        app: caller.call.app_bytes(),
        kind: K::KIND.into(),
        id: fold_username(&id),
        owner,
        settings: Some(settings),
        members: first_members(fields)?,
        actor: caller.actor(),
    })
}

/// Reads the settings of a channel, and under which names they came. What is absent or null stays as it is.
pub(super) fn read_settings(
    fields: &Map<String, Value>,
) -> Result<(ChannelSettings, Vec<&'static str>), RestError> {
    let settings = ChannelSettings {
        name: text(fields, NAME)?,
        description: text(fields, DESCRIPTION)?,
        public: flag(fields, PUBLIC)?,
        approval_needed: flag(fields, APPROVAL)?,
        allow_invites: flag(fields, ALLOW_INVITES)?,
        invite_need_confirm: flag(fields, CONFIRM)?,
        members_max: number(fields, MEMBERS_MAX)?,
        custom: text(fields, CUSTOM)?,
        avatar: text(fields, AVATAR)?,
    };
    let all = [NAME, DESCRIPTION, PUBLIC, APPROVAL, ALLOW_INVITES, CONFIRM, MEMBERS_MAX, CUSTOM, AVATAR];
    let given = all.iter().flat_map(|names| names.iter());
    let given = given.filter(|name| fields.get(**name).is_some_and(|value| !value.is_null()));
    Ok((settings, given.copied().collect()))
}

/// 400 `invalid_parameter`: a field that must be there is not (features.md §5.3).
pub(super) fn missing(name: &str) -> RestError {
    invalid_parameter(format!("{name} must be provided"))
}

/// 400 `invalid_parameter`.
pub(super) fn invalid_parameter(description: impl Into<std::borrow::Cow<'static, str>>) -> RestError {
    RestError::new(StatusCode::BAD_REQUEST, "invalid_parameter", "InvalidParameterException", description)
}

// One setting has several names: those of the documentation, of the web SDK and of the Java server SDK (features.md §3.6,
// msync.md §10, server-sdk.md F).
const NAME: &[&str] = &["groupname", "name"];
const DESCRIPTION: &[&str] = &["description", "desc"];
const PUBLIC: &[&str] = &["public"];
const APPROVAL: &[&str] = &["membersonly", "members_only", "approval"];
const ALLOW_INVITES: &[&str] = &["allowinvites"];
const CONFIRM: &[&str] = &["invite_need_confirm"];
const MEMBERS_MAX: &[&str] = &["maxusers"];
const CUSTOM: &[&str] = &["custom"];
const AVATAR: &[&str] = &["avatar"];

fn value<'a>(fields: &'a Map<String, Value>, names: &[&'static str]) -> Option<(&'static str, &'a Value)> {
    names.iter().find_map(|name| {
        let value = fields.get(*name).filter(|value| !value.is_null())?;
        Some((*name, value))
    })
}

fn text(fields: &Map<String, Value>, names: &[&'static str]) -> Result<Option<String>, RestError> {
    let Some((name, value)) = value(fields, names) else { return Ok(None) };
    match value.as_str() {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(RestError::illegal(format!("{name} must be a string"))),
    }
}

fn flag(fields: &Map<String, Value>, names: &[&'static str]) -> Result<Option<bool>, RestError> {
    let Some((name, value)) = value(fields, names) else { return Ok(None) };
    match value.as_bool() {
        Some(flag) => Ok(Some(flag)),
        None => Err(RestError::illegal(format!("{name} must be a boolean"))),
    }
}

fn number(fields: &Map<String, Value>, names: &[&'static str]) -> Result<Option<u32>, RestError> {
    let Some((name, value)) = value(fields, names) else { return Ok(None) };
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.map(Some).ok_or_else(|| RestError::illegal(format!("{name} must be a positive number")))
}

fn first_members(fields: &Map<String, Value>) -> Result<Vec<String>, RestError> {
    let Some((_, members)) = value(fields, &["members"]) else { return Ok(Vec::new()) };
    let wrong = || RestError::illegal("members must be an array of usernames");
    let members = members.as_array().ok_or_else(wrong)?;
    if members.len() > FIRST_MEMBERS_MAX {
        return Err(ErrorKind::InvalidArgument.with("members must hold at most 100 usernames").into());
    }
    members.iter().map(|member| member.as_str().map(fold_username).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(body: Value) -> Result<(ChannelSettings, Vec<&'static str>), RestError> {
        read_settings(body.as_object().unwrap())
    }

    #[test]
    fn a_setting_is_read_under_every_name_it_has() {
        for body in [
            json!({"groupname": "n", "description": "d", "membersonly": true}),
            json!({"name": "n", "desc": "d", "members_only": true}),
            json!({"groupname": "n", "desc": "d", "approval": true}),
        ] {
            let (settings, given) = settings(body).unwrap();
            assert_eq!(settings.name.as_deref(), Some("n"));
            assert_eq!(settings.description.as_deref(), Some("d"));
            assert_eq!(settings.approval_needed, Some(true));
            assert_eq!(given.len(), 3);
        }
        let (settings, given) = settings(json!({"avatar": null, "other": 1})).unwrap();
        assert_eq!((settings, given), (ChannelSettings::default(), Vec::new()));
    }

    #[test]
    fn a_setting_of_another_type_is_refused() {
        for wrong in [
            json!({"groupname": 1}),
            json!({"public": "yes"}),
            json!({"maxusers": "many"}),
            json!({"maxusers": -1}),
            json!({"maxusers": 5_000_000_000_u64}),
        ] {
            assert_eq!(settings(wrong.clone()).unwrap_err().status.as_u16(), 400, "{wrong}");
        }
    }
}
