//! What a process has used, as `/proc` tells it. Elsewhere than on Linux nothing is known.

use std::fs;
use std::time::Duration;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// What is in memory, shared or not.
    pub resident: Option<u64>,
    /// The same, with shared pages divided among those who share them.
    pub proportional: Option<u64>,
    /// What is no page of a file.
    pub anonymous: Option<u64>,
}

impl Memory {
    /// Of this process, now.
    pub fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
        Self {
            resident: kilobytes(&status, "VmRSS:"),
            proportional: kilobytes(&rollup.unwrap_or_default(), "Pss:"),
            anonymous: kilobytes(&status, "RssAnon:"),
        }
    }
}

/// CPU time of all threads of a process so far, in user and in kernel mode.
pub fn cpu(process: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(ticks(cpu_ticks(&stat)?))
}

/// CPU time of all processes that this one has started and that have ended, and of theirs.
pub fn ended_cpu() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    Some(ticks(ended_ticks(&stat)?))
}

/// CPU time of all threads of this process so far, to the nanosecond.
pub fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

/// Load of the machine in the last minute, and everything else that is in the line.
pub fn load_average() -> Option<String> {
    fs::read_to_string("/proc/loadavg").ok().map(|text| text.trim().to_owned())
}

fn kilobytes(text: &str, field: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The 14th and the 15th field.
fn cpu_ticks(stat: &str) -> Option<u64> {
    two_fields(stat, 14)
}

/// The 16th and the 17th field.
fn ended_ticks(stat: &str) -> Option<u64> {
    two_fields(stat, 16)
}

/// The sum of a field and the next. The second field may hold anything, so counting begins after it.
fn two_fields(stat: &str, first: usize) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(first - 3);
    let (one, next): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    one.checked_add(next)
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs_f64(count as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_read_right() {
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t     3 kB\n";
        assert_eq!(kilobytes(status, "VmRSS:"), Some(2048 * 1024));
        assert_eq!(kilobytes(status, "RssAnon:"), Some(3 * 1024));
        assert_eq!(kilobytes(status, "Pss:"), None);
        let stat = "7 (a) b c) S 1 1 1 0 -1 4194560 2 0 0 0 30 12 5 6 20 0 3 0 99";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(ended_ticks(stat), Some(11));
        assert_eq!(cpu_ticks("7 (x) S 1"), None);
    }
}
