//! Who may call what: the one table of it (design: five kinds of process).
//!
//! Network policies, database users and Redis ACLs repeat this table outside; here it is enforced on every call, from
//! the certificate of the connection that it came on. What does not stand in it is refused: a new call or table is
//! closed until somebody opens it here.

mod guard;

use bulkhead_store::{Table, tables};

pub(crate) use guard::{CallGuard, check_table};

use crate::identity::Service;
use Service::{Auth, Console, Gateway, Router};

/// One call and the services that may make it.
pub struct CallRule {
    /// As in the path of the request: `/package.Service/Method`.
    pub call: &'static str,
    pub callers: &'static [Service],
}

/// One table of the storage service and the services that may touch its rows through it.
pub struct TableRule {
    pub table: &'static Table,
    pub readers: &'static [Service],
    pub writers: &'static [Service],
}

const fn call(call: &'static str, callers: &'static [Service]) -> CallRule {
    CallRule { call, callers }
}

/// A table of one service's own.
const fn own(table: &'static Table, owner: &'static [Service]) -> TableRule {
    TableRule { table, readers: owner, writers: owner }
}

/// Every call of every service.
pub static CALLS: &[CallRule] = &[
    // --- auth: apps. Certificates of apps (`ShowApp`) are for whoever administers them, never for what serves clients.
    call("/bulkhead.auth.v1.Auth/CreateApp", &[Console]),
    call("/bulkhead.auth.v1.Auth/ListApps", &[Console]),
    call("/bulkhead.auth.v1.Auth/FindApp", &[Gateway, Router, Console]),
    call("/bulkhead.auth.v1.Auth/ShowApp", &[Console]),
    call("/bulkhead.auth.v1.Auth/UpdateApp", &[Console]),
    // --- auth: credentials, which arrive at gateways.
    call("/bulkhead.auth.v1.Auth/Authenticate", &[Gateway]),
    call("/bulkhead.auth.v1.Auth/GrantClientCredentials", &[Gateway]),
    call("/bulkhead.auth.v1.Auth/GrantPassword", &[Gateway]),
    call("/bulkhead.auth.v1.Auth/GrantInherit", &[Gateway]),
    call("/bulkhead.auth.v1.Auth/ExchangeToken", &[Gateway]),
    call("/bulkhead.auth.v1.Auth/RevokeToken", &[Gateway, Console]),
    call("/bulkhead.auth.v1.Auth/RevokeUserTokens", &[Gateway, Console]),
    call("/bulkhead.auth.v1.Auth/RevokeAppTokens", &[Gateway, Console]),
    // --- auth: whether those who were let in may stay, which is the gateways' to ask.
    call("/bulkhead.auth.v1.Auth/Changes", &[Gateway]),
    call("/bulkhead.auth.v1.Auth/CheckGrants", &[Gateway]),
    // --- auth: users. The router only asks whether one exists.
    call("/bulkhead.auth.v1.Auth/RegisterUsers", &[Gateway, Console]),
    call("/bulkhead.auth.v1.Auth/FindUser", &[Gateway, Router, Console]),
    call("/bulkhead.auth.v1.Auth/ListUsers", &[Gateway, Console]),
    call("/bulkhead.auth.v1.Auth/UpdateUser", &[Gateway, Console]),
    call("/bulkhead.auth.v1.Auth/DeleteUser", &[Gateway, Console]),
    // --- router: sessions and messages, which are the gateways'.
    call("/bulkhead.router.v1.Router/Attach", &[Gateway]),
    call("/bulkhead.router.v1.Router/Publish", &[Gateway]),
    call("/bulkhead.router.v1.Router/OpenSession", &[Gateway]),
    call("/bulkhead.router.v1.Router/CloseSession", &[Gateway]),
    call("/bulkhead.router.v1.Router/Unread", &[Gateway]),
    call("/bulkhead.router.v1.Router/Pull", &[Gateway]),
    call("/bulkhead.router.v1.Router/Confirm", &[Gateway]),
    call("/bulkhead.router.v1.Router/History", &[Gateway]),
    // --- router: presence and people.
    call("/bulkhead.router.v1.Router/Devices", &[Gateway, Console]),
    call("/bulkhead.router.v1.Router/Presence", &[Gateway, Console]),
    call("/bulkhead.router.v1.Router/Disconnect", &[Gateway, Console]),
    call("/bulkhead.router.v1.Router/OfflineCounts", &[Gateway, Console]),
    call("/bulkhead.router.v1.Router/MessageStatus", &[Gateway]),
    call("/bulkhead.router.v1.Router/ForgetUser", &[Gateway, Console]),
    // --- router: groups and rooms.
    call("/bulkhead.router.v1.Router/CreateChannel", &[Gateway]),
    call("/bulkhead.router.v1.Router/DestroyChannel", &[Gateway]),
    call("/bulkhead.router.v1.Router/UpdateChannel", &[Gateway]),
    call("/bulkhead.router.v1.Router/ChangeOwner", &[Gateway]),
    call("/bulkhead.router.v1.Router/Channel", &[Gateway]),
    call("/bulkhead.router.v1.Router/ChannelsOfApp", &[Gateway]),
    call("/bulkhead.router.v1.Router/ChannelsOfUser", &[Gateway]),
    call("/bulkhead.router.v1.Router/AddMembers", &[Gateway]),
    call("/bulkhead.router.v1.Router/RemoveMembers", &[Gateway]),
    call("/bulkhead.router.v1.Router/Join", &[Gateway]),
    call("/bulkhead.router.v1.Router/Leave", &[Gateway]),
    call("/bulkhead.router.v1.Router/Members", &[Gateway]),
    call("/bulkhead.router.v1.Router/Member", &[Gateway]),
    // --- router: placement.
    call("/bulkhead.router.v1.Router/Slots", &[Gateway, Console]),
    // --- storage: rows; which of them, the table below says. A gateway reaches none.
    call("/bulkhead.storage.v1.Storage/Write", &[Auth, Router]),
    call("/bulkhead.storage.v1.Storage/InsertIfAbsent", &[Auth, Router]),
    call("/bulkhead.storage.v1.Storage/CompareAndSet", &[Auth, Router]),
    call("/bulkhead.storage.v1.Storage/Get", &[Auth, Router]),
    call("/bulkhead.storage.v1.Storage/Scan", &[Auth, Router]),
    // --- storage: keys of the bus, which only routers read.
    call("/bulkhead.storage.v1.BusKeys/HourKey", &[Router]),
    call("/bulkhead.storage.v1.BusKeys/NamingKey", &[Router]),
    // --- storage: what is kept of an app, in numbers.
    call("/bulkhead.storage.v1.Retention/Report", &[Console]),
    // --- storage: attachments, all that a gateway needs of it.
    call("/bulkhead.attachments.v1.Attachments/Upload", &[Gateway]),
    call("/bulkhead.attachments.v1.Attachments/Head", &[Gateway]),
    call("/bulkhead.attachments.v1.Attachments/Read", &[Gateway]),
    call("/bulkhead.attachments.v1.Attachments/Delete", &[Gateway]),
];

/// Every table of the storage port.
pub static TABLES: &[TableRule] = &[
    own(&tables::APPS, &[Auth]),
    own(&tables::APP_IDS, &[Auth]),
    own(&tables::APP_UUIDS, &[Auth]),
    own(&tables::USERS, &[Auth]),
    own(&tables::USERS_BY_TIME, &[Auth]),
    own(&tables::USER_UUIDS, &[Auth]),
    own(&tables::TOKENS, &[Auth]),
    own(&tables::REVOKED_TOKENS, &[Auth]),
    own(&tables::AUTH_CHANGES, &[Auth]),
    own(&tables::MESSAGES, &[Router]),
    own(&tables::DEDUP, &[Router]),
    own(&tables::CONVERSATIONS, &[Router]),
    own(&tables::DEVICES, &[Router]),
    own(&tables::CHANNELS, &[Router]),
    own(&tables::CHANNELS_BY_APP, &[Router]),
    own(&tables::MEMBERS, &[Router]),
    own(&tables::MEMBERSHIPS, &[Router]),
    own(&tables::HEADS, &[Router]),
    own(&tables::ROUTERS, &[Router]),
    own(&tables::SLOTS, &[Router]),
    // The storage service's own: others have calls for attachments.
    own(&tables::ATTACHMENTS, &[]),
    own(&tables::ATTACHMENT_ENDS, &[]),
    own(&tables::RETAINED, &[]),
    // Wrapped data keys never pass through a connection.
    own(&tables::DATA_KEYS, &[]),
];

/// What a call does to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// Whether `caller` may make the call of this path.
pub fn may_call(caller: Service, path: &str) -> bool {
    CALLS.iter().find(|rule| rule.call == path).is_some_and(|rule| rule.callers.contains(&caller))
}

/// Whether `caller` may touch rows of the table.
pub fn may_touch(caller: Service, table: &'static Table, access: Access) -> bool {
    let rule = TABLES.iter().find(|rule| std::ptr::eq(rule.table, table));
    rule.is_some_and(|rule| match access {
        Access::Read => rule.readers.contains(&caller),
        Access::Write => rule.writers.contains(&caller),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_table_has_one_rule() {
        for table in tables::ALL {
            let rules = TABLES.iter().filter(|rule| std::ptr::eq(rule.table, table)).count();
            assert_eq!(rules, 1, "{table} stands in the table of permissions once");
        }
        assert_eq!(TABLES.len(), tables::ALL.len());
    }

    #[test]
    fn nobody_reaches_data_keys_and_a_gateway_no_row() {
        for access in [Access::Read, Access::Write] {
            for caller in Service::ALL {
                assert!(!may_touch(caller, &tables::DATA_KEYS, access));
            }
            for table in tables::ALL {
                assert!(!may_touch(Gateway, table, access), "{table}");
            }
        }
    }

    #[test]
    fn what_serves_clients_never_sees_the_certificates_of_an_app() {
        for caller in [Gateway, Router] {
            assert!(!may_call(caller, "/bulkhead.auth.v1.Auth/ShowApp"));
        }
    }

    #[test]
    fn a_call_that_is_not_in_the_table_is_nobodys() {
        for caller in Service::ALL {
            assert!(!may_call(caller, "/bulkhead.auth.v1.Auth/Nothing"));
            assert!(!may_call(caller, ""));
        }
    }
}
