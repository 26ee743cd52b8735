//! Three full regions on one machine that could reach each other: a network namespace each, and a router between them that
//! forwards. While people chat in all three not a packet passes from one to another; a node that is configured with
//! anything of another region does not start; and who asks the wrong region is told the right one.
//!
//! Where namespaces cannot be made, and where REGION_TEST=loopback says so, each region has a loopback address
//! of its own instead. What shows where its data went are then the addresses that its nodes report to have dialled.

mod chat;
mod configuration;
mod homes;
mod misconfigured;
mod regions;
mod residency;
mod stranger;
mod traffic;

use std::io::Write;

use anyhow::{Context, Result};
use bulkhead_testkit::Networks;
use regions::{NAMES, Regions};

/// Names the variable that asks for loopback addresses; without BULKHEAD_ in front, which would make it a setting.
const VARIABLE: &str = "REGION_TEST";

#[test]
fn three_regions_that_could_reach_each_other_exchange_nothing_and_refuse_what_is_of_another_region() {
    bulkhead_chassis::tls::install_provider();
    let regions = Regions::start(networks().unwrap()).unwrap_or_else(|error| panic!("{error:#}"));
    if let Err(error) = go(&regions) {
        panic!("{error:#}\n{}", regions.logs());
    }
}

fn go(regions: &Regions) -> Result<()> {
    chat::in_all(regions, "the first time").context("people chat")?;
    homes::are_told(regions).context("an app of another region")?;
    residency::names_only_own_addresses(regions).context("the reports of residency")?;
    // Since the regions were started, homes that were told included.
    regions.traffic()?.is_none_at_all()?;

    misconfigured::is_refused(regions)?;
    stranger::is_refused(regions).context("a caller of another region")?;
    chat::in_all(regions, "after all that").context("people chat again")?;
    residency::names_only_own_addresses(regions).context("the reports of residency, again")?;
    // Connections of nodes that were refused may have been closed meanwhile; nothing was said on any.
    regions.traffic()?.carries_nothing()?;

    regions.can_reach_each_other().context("the cable between the regions")?;
    regions.serve_nobody_else_in_the_clear().context("gateways in the clear")
}

/// Namespaces where they can be made. What the test stands on instead is said past the test runner, which keeps what a test
/// prints to itself.
fn networks() -> Result<Networks> {
    let reason = match std::env::var(VARIABLE).as_deref() {
        Ok("loopback") => format!("{VARIABLE} says so"),
        _ => match Networks::may_be_joined()? {
            Ok(()) => return Networks::joined(&NAMES),
            Err(reason) => reason,
        },
    };
    writeln!(std::io::stdout(), "regions on loopback addresses instead of network namespaces: {reason}")?;
    Ok(Networks::on_loopback(&NAMES))
}
