//! `CLUSTER SLOTS` (redis.io/docs, "CLUSTER SLOTS"): ranges of slots with their nodes, the primary first.

use std::collections::BTreeMap;

use bulkhead_bus::SlotSet;
use bulkhead_model::SLOT_COUNT;
use redis::Value;

use crate::names::cluster_slot_of;

pub(super) fn question() -> redis::Pipeline {
    let mut pipe = redis::pipe();
    pipe.cmd("CLUSTER").arg("SLOTS");
    pipe
}

/// Our slots by the address of the primary that has them. `asked` gives the scheme, and the host where a node does not
/// know its own.
pub(super) fn read(answer: &[Value], asked: &str) -> Option<Vec<(String, SlotSet)>> {
    let [Value::Array(ranges)] = answer else { return None };
    let ranges: Vec<(u16, u16, String)> =
        ranges.iter().map(|range| read_range(range, asked)).collect::<Option<_>>()?;
    let mut homes: BTreeMap<String, SlotSet> = BTreeMap::new();
    for slot in 0..SLOT_COUNT {
        let at = cluster_slot_of(slot);
        if let Some((_, _, address)) = ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&at)) {
            homes.entry(address.clone()).or_insert_with(SlotSet::none).insert(slot);
        }
    }
    Some(homes.into_iter().collect())
}

fn read_range(range: &Value, asked: &str) -> Option<(u16, u16, String)> {
    let Value::Array(parts) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = parts.as_slice() else {
        return None;
    };
    let [host, Value::Int(port), ..] = primary.as_slice() else { return None };
    let (scheme, rest) = asked.split_once("://")?;
    let host = match host {
        Value::BulkString(host) if !host.is_empty() && host != b"?" => {
            let host = std::str::from_utf8(host).ok()?;
            if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
        }
        _ => rest.rsplit_once(':').map_or(rest, |(host, _)| host).to_owned(),
    };
    Some((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, format!("{scheme}://{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, host: &str, port: i64) -> Value {
        let host = Value::BulkString(host.as_bytes().to_vec());
        Value::Array(vec![Value::Int(first), Value::Int(last), Value::Array(vec![host, Value::Int(port)])])
    }

    #[test]
    fn every_slot_is_found_at_its_primary() {
        let answer = [Value::Array(vec![range(0, 8191, "10.0.0.1", 7001), range(8192, 16_383, "", 7002)])];
        let homes = read(&answer, "rediss://seed:7000").unwrap();
        assert_eq!(homes[0].0, "rediss://10.0.0.1:7001");
        assert_eq!(homes[1].0, "rediss://seed:7002", "a node without a host is where it was asked");
        assert_eq!(homes[0].1.len() + homes[1].1.len(), usize::from(SLOT_COUNT));
        assert!(homes.iter().all(|(_, slots)| slots.len() > 400));
    }

    #[test]
    fn what_is_no_layout_is_not_read() {
        assert_eq!(read(&[Value::Okay], "redis://a:1"), None);
        assert_eq!(read(&[Value::Array(vec![Value::Int(1)])], "redis://a:1"), None);
    }
}
