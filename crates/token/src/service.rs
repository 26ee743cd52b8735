use std::collections::BTreeMap;

use crate::TokenError;
use crate::pack::{Reader, put_bytes, put_u16, put_u32};

/// The privilege of a Chat service that lets one user log in (§6.3).
pub const PRIVILEGE_CHAT_USER: u16 = 1;

/// The privilege of a Chat service that lets a back end act for the app (§6.3).
pub const PRIVILEGE_CHAT_APP: u16 = 2;

/// One service block of a token (§6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub kind: ServiceKind,
    /// Privilege to its life in seconds after the issue; 0 means that it has no end of its own.
    pub privileges: BTreeMap<u16, u32>,
}

/// Which service, with the fields that are its own (§6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    Rtc {
        channel: String,
        /// Decimal; empty for any.
        uid: String,
    },
    Rtm {
        user_id: String,
    },
    Streaming {
        channel: String,
        account: String,
    },
    Fpa,
    Chat {
        /// Empty in an app token.
        user_id: String,
    },
    Fcdn {
        channel: String,
        account: String,
    },
    Apaas {
        room: String,
        user: String,
        /// -1 for none.
        role: i16,
    },
}

impl ServiceKind {
    /// The number that names the service on the wire.
    pub fn number(&self) -> u16 {
        match self {
            ServiceKind::Rtc { .. } => 1,
            ServiceKind::Rtm { .. } => 2,
            ServiceKind::Streaming { .. } => 3,
            ServiceKind::Fpa => 4,
            ServiceKind::Chat { .. } => 5,
            ServiceKind::Fcdn { .. } => 6,
            ServiceKind::Apaas { .. } => 7,
        }
    }
}

impl Service {
    /// A Chat service with one privilege.
    pub fn chat(user_id: &str, privilege: u16, life_s: u32) -> Self {
        Self {
            kind: ServiceKind::Chat { user_id: user_id.to_owned() },
            privileges: BTreeMap::from([(privilege, life_s)]),
        }
    }

    /// Reads one block; `None` for a service that this crate does not know and whose end it cannot find.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, TokenError> {
        let number = reader.u16()?;
        if !(1..=7).contains(&number) {
            return Ok(None);
        }
        let mut privileges = BTreeMap::new();
        for _ in 0..reader.u16()? {
            privileges.insert(reader.u16()?, reader.u32()?);
        }
        let kind = match number {
            1 => ServiceKind::Rtc { channel: reader.text()?, uid: reader.text()? },
            2 => ServiceKind::Rtm { user_id: reader.text()? },
            3 => ServiceKind::Streaming { channel: reader.text()?, account: reader.text()? },
            4 => ServiceKind::Fpa,
            5 => ServiceKind::Chat { user_id: reader.text()? },
            6 => ServiceKind::Fcdn { channel: reader.text()?, account: reader.text()? },
            _ => ServiceKind::Apaas { room: reader.text()?, user: reader.text()?, role: reader.i16()? },
        };
        Ok(Some(Self { kind, privileges }))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), TokenError> {
        put_u16(out, self.kind.number());
        put_u16(out, u16::try_from(self.privileges.len()).map_err(|_| TokenError::TooLarge)?);
        for (privilege, life_s) in &self.privileges {
            put_u16(out, *privilege);
            put_u32(out, *life_s);
        }
        match &self.kind {
            ServiceKind::Rtc { channel: first, uid: second }
            | ServiceKind::Streaming { channel: first, account: second }
            | ServiceKind::Fcdn { channel: first, account: second } => {
                put_bytes(out, first.as_bytes())?;
                put_bytes(out, second.as_bytes())
            }
            ServiceKind::Rtm { user_id } | ServiceKind::Chat { user_id } => {
                put_bytes(out, user_id.as_bytes())
            }
            ServiceKind::Fpa => Ok(()),
            ServiceKind::Apaas { room, user, role } => {
                put_bytes(out, room.as_bytes())?;
                put_bytes(out, user.as_bytes())?;
                out.extend_from_slice(&role.to_le_bytes());
                Ok(())
            }
        }
    }
}
