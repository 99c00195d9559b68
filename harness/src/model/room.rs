//! The memory that a model needs, held against what there is before a weight is read.

use crate::error::InputError;
use anyhow::Result;
use std::fs::read_to_string;

/// Refuses weights of `needed` bytes where the machine has less memory left: the system would kill the process,
/// without a word.
///
/// # Errors
/// If there is less. Where it is not known how much there is, there is enough.
pub(super) fn check(needed: usize) -> Result<()> {
    match available() {
        Some(left) if left < needed => Err(too_large(needed, left)),
        _ => Ok(()),
    }
}

fn too_large(needed: usize, left: usize) -> anyhow::Error {
    let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
    InputError::new(format!(
        "the weights take {:.1} GiB of memory, and {:.1} GiB are free; use a smaller model, a dtype of half the \
         size (model.dtype = \"bf16\"), or a machine with more memory",
        gib(needed),
        gib(left)
    ))
}

/// Bytes of memory that are free: of the machine, and of the container, if it has a limit.
fn available() -> Option<usize> {
    let machine = kib(&read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    let read = |file: &str| read_to_string(format!("/sys/fs/cgroup/{file}")).ok();
    let number = |file: &str| read(file)?.trim().parse::<usize>().ok();
    let container = number("memory.max").zip(number("memory.current"));
    let cached = read("memory.stat").map_or(0, |table| reclaimable(&table));
    let container = container.map(|(most, used)| most.saturating_sub(used.saturating_sub(cached)));
    Some(container.map_or(machine, |container| machine.min(container)))
}

/// Bytes of a container that hold copies of files: counted as used, and given up on demand.
fn reclaimable(table: &str) -> usize {
    let of = |name: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<usize>().ok()
    };
    ["active_file ", "inactive_file "].into_iter().filter_map(of).sum()
}

/// The number of KiB behind `name` in a table of the kernel, in bytes.
fn kib(table: &str, name: &str) -> Option<usize> {
    let line = table.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::{kib, reclaimable, too_large};

    #[test]
    fn what_is_free_is_read_and_said() {
        let table = "MemTotal:       24672404 kB\nMemAvailable:   20123456 kB\n";
        assert_eq!(kib(table, "MemAvailable:"), Some(20_123_456 << 10));
        assert_eq!(kib(table, "SwapFree:"), None);
        assert_eq!(reclaimable("anon 9\ninactive_file 3\nactive_file 4\n"), 7);
        let said = too_large(28 << 30, 20 << 30).to_string();
        assert!(
            said.starts_with("the weights take 28.0 GiB of memory, and 20.0 GiB are free; use a")
        );
    }
}
