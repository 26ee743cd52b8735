//! Who calls whom, from the one table of it in the code.

use std::collections::BTreeSet;

use bulkhead_rpc::permissions::CALLS;

/// The services that are called, with the port of each.
pub(crate) const CALLED: [(&str, u16); 3] = [("auth", 7101), ("router", 7102), ("storage", 7103)];

/// Services that run as processes of a cluster.
pub(crate) const ROLES: [&str; 4] = ["gateway", "auth", "router", "storage"];

/// The services that may call `service`; the console among them.
pub(crate) fn callers_of(service: &str) -> BTreeSet<&'static str> {
    let rules = CALLS.iter().filter(|rule| callee(rule.call) == service);
    rules.flat_map(|rule| rule.callers).map(|caller| caller.name()).collect()
}

/// Attachments are storage's.
fn callee(call: &str) -> &str {
    let package = call.split('.').nth(1).unwrap();
    if package == "attachments" { "storage" } else { package }
}
