//! What an agent says of its machine.

use std::fs;
use std::io;
use std::path::Path;

use super::Options;
use crate::fleet::{Labels, Load, MachineFacts, MachineId, is_label_word};

/// File in the state directory.
pub(super) const IDENTITY: &str = "machine-id";

/// Facts for the relay; makes the machine's identity on first use.
pub(super) fn facts(options: &Options) -> io::Result<MachineFacts> {
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let hostname = text(uname.nodename());
    let name = if options.name.is_empty() { hostname.clone() } else { options.name.clone() };
    let info = rustix::system::sysinfo();
    let now = crate::runtime::now_ms() / 1000;
    Ok(MachineFacts {
        id: identity(&options.state_dir)?,
        name,
        hostname,
        os: os_name(),
        kernel: text(uname.release()),
        arch: text(uname.machine()),
        cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        memory_bytes: info.totalram as u64 * u64::from(info.mem_unit),
        labels: options.labels.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        boot_time_s: now.saturating_sub(info.uptime as u64),
        workspace: "default".into(),
    })
}

/// The host name.
pub(super) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// How busy the machine is now.
pub(super) fn load() -> Load {
    let info = rustix::system::sysinfo();
    // The kernel counts load in 1/65536.
    let averages = info.loads.map(|load| load as f32 / 65536.0);
    let available = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    Load { averages, memory_available_bytes: available.unwrap_or(0) * 1024, uptime_s: info.uptime as u64 }
}

/// `key=value` pairs as labels; the refused one comes back.
pub fn local_labels<S: AsRef<str>>(pairs: &[S]) -> Result<Labels, String> {
    let split = |pair: &S| {
        let text = pair.as_ref();
        let (key, value) = text.split_once('=').ok_or_else(|| text.to_string())?;
        if is_label_word(key) && is_label_word(value) {
            Ok((key.to_string(), value.to_string()))
        } else {
            Err(text.to_string())
        }
    };
    pairs.iter().map(split).collect()
}

/// The machine's identity; made on first use.
pub(super) fn identity(state_dir: &Path) -> io::Result<MachineId> {
    let path = state_dir.join(IDENTITY);
    if let Ok(text) = fs::read_to_string(&path)
        && let Ok(id) = text.trim().parse()
    {
        return Ok(id);
    }
    let id = MachineId::random();
    fs::write(&path, format!("{id}\n"))?;
    Ok(id)
}

fn os_name() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".into(), |name| name.trim_matches('"').to_string())
}
