use crate::{Error, ErrorKind};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What an app's owner subscribed to; it decides how long messages are kept (features.md §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// 7 days.
    Free,
    /// 90 days.
    Starter,
    /// 180 days.
    Pro,
    /// Any number of days; 180 unless set.
    Enterprise { days: u32 },
}

/// Longest retention that can be set, in days (ten years).
const ENTERPRISE_DAYS_MAX: u32 = 3650;

impl Plan {
    /// Reads `free`, `starter`, `pro`, `enterprise` or `enterprise:DAYS`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || {
            ErrorKind::InvalidArgument.with("plan must be free, starter, pro, enterprise or enterprise:DAYS")
        };
        match text {
            "free" => Ok(Plan::Free),
            "starter" => Ok(Plan::Starter),
            "pro" => Ok(Plan::Pro),
            "enterprise" => Ok(Plan::Enterprise { days: 180 }),
            other => {
                let days =
                    other.strip_prefix("enterprise:").and_then(|days| days.parse().ok()).ok_or_else(wrong)?;
                if (1..=ENTERPRISE_DAYS_MAX).contains(&days) {
                    Ok(Plan::Enterprise { days })
                } else {
                    Err(wrong())
                }
            }
        }
    }

    /// How long a message is kept, in milliseconds.
    pub fn retention_ms(self) -> u64 {
        let days = match self {
            Plan::Free => 7,
            Plan::Starter => 90,
            Plan::Pro => 180,
            Plan::Enterprise { days } => days,
        };
        u64::from(days) * DAY_MS
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Plan::Free => f.write_str("free"),
            Plan::Starter => f.write_str("starter"),
            Plan::Pro => f.write_str("pro"),
            Plan::Enterprise { days } => write!(f, "enterprise:{days}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_keeps_messages_for_its_days() {
        for (text, days) in
            [("free", 7), ("starter", 90), ("pro", 180), ("enterprise", 180), ("enterprise:30", 30)]
        {
            let plan = Plan::parse(text).unwrap();
            assert_eq!(plan.retention_ms(), days * DAY_MS, "{text}");
            assert_eq!(Plan::parse(&plan.to_string()).unwrap(), plan);
        }
        for wrong in ["", "gold", "enterprise:0", "enterprise:3651", "enterprise:x"] {
            assert!(Plan::parse(wrong).is_err(), "{wrong}");
        }
    }
}
