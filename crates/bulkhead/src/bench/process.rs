//! CPU time and memory of the server's processes, from `/proc`.

use std::time::Duration;

use crate::Failure;

/// The kernel counts CPU time for user programs in hundredths of a second, on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of these processes together, their threads included.
pub(super) fn cpu_time(pids: &[u32]) -> Result<Duration, Failure> {
    let mut ticks = 0;
    for pid in pids {
        let stat = read(*pid, "stat")?;
        ticks += cpu_ticks(&stat).ok_or_else(|| Failure::refused("/proc/PID/stat is not understood"))?;
    }
    Ok(TICK.saturating_mul(ticks))
}

/// Time that all processors of the machine have spent working, for whatever process.
pub(super) fn machine_time() -> Result<Duration, Failure> {
    const PATH: &str = "/proc/stat";
    let stat = std::fs::read_to_string(PATH).map_err(|error| Failure::io(format!("{PATH}: {error}")))?;
    let ticks = busy_ticks(&stat).ok_or_else(|| Failure::refused("/proc/stat is not understood"))?;
    Ok(TICK.mul_f64(ticks as f64))
}

/// Resident memory of these processes together, in bytes.
pub(super) fn resident_bytes(pids: &[u32]) -> Result<u64, Failure> {
    let mut bytes = 0;
    for pid in pids {
        let rollup = read(*pid, "smaps_rollup")?;
        bytes +=
            rss_bytes(&rollup).ok_or_else(|| Failure::refused("/proc/PID/smaps_rollup is not understood"))?;
    }
    Ok(bytes)
}

/// How many files this process may have open.
pub(super) fn files_max() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    files_limit(&limits).unwrap_or(u64::MAX)
}

fn read(pid: u32, name: &str) -> Result<String, Failure> {
    let path = format!("/proc/{pid}/{name}");
    std::fs::read_to_string(&path).map_err(|error| Failure::io(format!("{path}: {error}")))
}

fn cpu_ticks(stat: &str) -> Option<u32> {
    // The name of the program, in parentheses, may hold spaces and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    // The state is the third field of the line, utime the fourteenth, stime the fifteenth.
    let utime: u32 = fields.nth(11)?.parse().ok()?;
    let stime: u32 = fields.next()?.parse().ok()?;
    Some(utime + stime)
}

fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line.split_ascii_whitespace().map_while(|field| field.parse().ok()).collect();
    // user, nice, system, then idle and waiting for disks, then irq, softirq and what the hypervisor took.
    let [user, nice, system, _idle, _waiting, irq, softirq, steal, ..] = fields[..] else { return None };
    Some(user + nice + system + irq + softirq + steal)
}

fn rss_bytes(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn files_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 12345 1000 200";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(busy_ticks("cpu  1 2 3 1000 2000 4 5 6 0 0\ncpu0 1"), Some(21));
        assert_eq!(rss_bytes("00400000-7ff [rollup]\nRss:              12 kB\nPss: 1 kB\n"), Some(12 * 1024));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            20000                20000                files\n";
        assert_eq!(files_limit(limits), Some(20_000));
    }

    #[test]
    fn this_process_has_both() {
        let own = [std::process::id()];
        assert!(cpu_time(&own).is_ok());
        assert!(resident_bytes(&own).unwrap() > 0);
        assert!(machine_time().unwrap() > Duration::ZERO);
        assert!(files_max() > 0);
    }
}
