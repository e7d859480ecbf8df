//! A machine as the fleet knows it.

use std::collections::BTreeMap;

use super::MachineId;

/// Labels of a machine: `role=web`.
pub type Labels = BTreeMap<String, String>;

/// `env=dev,role=web`; empty for none.
pub fn labels_text(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// What an agent says of its machine when it connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineFacts {
    /// Identity, kept in the agent's state directory.
    pub id: MachineId,
    /// Display name, unique among people if they want peace.
    pub name: String,
    /// Host name of the operating system.
    pub hostname: String,
    /// Operating system, for people: "Debian GNU/Linux 12".
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Processor architecture.
    pub arch: String,
    /// Logical processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Labels given to the agent.
    pub labels: Labels,
    /// Version of the agent.
    pub version: String,
    /// Boot time, seconds since the epoch.
    pub boot_time_s: u64,
    /// Workspace it belongs to.
    pub workspace: String,
}

/// How busy a machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Load averages over 1, 5 and 15 minutes.
    pub averages: [f32; 3],
    /// Memory available to programs, bytes.
    pub memory_available_bytes: u64,
    /// Seconds since boot.
    pub uptime_s: u64,
}

/// A machine as the relay shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// What its agent said.
    pub facts: MachineFacts,
    /// Its agent is connected.
    pub is_online: bool,
    /// Last sign of life, milliseconds since the epoch.
    pub last_seen_ms: u64,
    /// Latest heartbeat.
    pub load: Load,
    /// Round trip between relay and agent in microseconds; `None` before the first measurement.
    pub latency_us: Option<u32>,
    /// When its agent connected, milliseconds since the epoch.
    pub connected_ms: u64,
}
