use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind};

/// A data center: one closed cluster that an app is created in and never leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Region {
    /// Service area Southeast Asia.
    Singapore,
    /// Service area Europe.
    Frankfurt,
    /// Service area North America.
    Virginia,
}

impl Region {
    /// Every region, in the order in which they are listed to people.
    pub const ALL: [Region; 3] = [Region::Singapore, Region::Frankfurt, Region::Virginia];

    /// The lower-case name used in configuration, certificates and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Region::Singapore => "singapore",
            Region::Frankfurt => "frankfurt",
            Region::Virginia => "virginia",
        }
    }

    /// The two hex digits that open the App ID of every app made in this region.
    pub fn app_id_prefix(self) -> &'static str {
        match self {
            Region::Singapore => "61",
            Region::Frankfurt => "71",
            Region::Virginia => "41",
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Region {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Region::ALL
            .into_iter()
            .find(|region| region.name() == text)
            .ok_or_else(|| ErrorKind::InvalidArgument.with("region must be singapore, frankfurt or virginia"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_reads_back_from_its_name() {
        for region in Region::ALL {
            assert_eq!(region.name().parse::<Region>().unwrap(), region);
        }
        assert!("Singapore".parse::<Region>().is_err());
    }
}
