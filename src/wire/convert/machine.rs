//! Machines and their load. What a machine says of itself is text for people, and cleaned here.

use crate::fleet::{
    HOST_CAP, IdError, LABEL_CAP, LABELS_CAP, Load, Machine, MachineFacts, MachineId, NAME_CAP, cleaned,
};
use crate::wire::v1;

impl From<&MachineFacts> for v1::MachineFacts {
    fn from(facts: &MachineFacts) -> Self {
        v1::MachineFacts {
            id: facts.id.as_bytes().to_vec().into(),
            name: facts.name.clone(),
            hostname: facts.hostname.clone(),
            os: facts.os.clone(),
            kernel: facts.kernel.clone(),
            arch: facts.arch.clone(),
            cpus: facts.cpus,
            memory_bytes: facts.memory_bytes,
            labels: facts.labels.clone().into_iter().collect(),
            version: facts.version.clone(),
            boot_time_s: facts.boot_time_s,
            workspace: facts.workspace.clone(),
        }
    }
}

impl TryFrom<v1::MachineFacts> for MachineFacts {
    type Error = IdError;

    fn try_from(facts: v1::MachineFacts) -> Result<Self, IdError> {
        Ok(MachineFacts {
            id: MachineId::from_bytes(&facts.id)?,
            name: cleaned(facts.name, NAME_CAP),
            hostname: cleaned(facts.hostname, HOST_CAP),
            os: cleaned(facts.os, HOST_CAP),
            kernel: cleaned(facts.kernel, HOST_CAP),
            arch: cleaned(facts.arch, HOST_CAP),
            cpus: facts.cpus,
            memory_bytes: facts.memory_bytes,
            labels: facts
                .labels
                .into_iter()
                .take(LABELS_CAP)
                .map(|(key, value)| (cleaned(key, LABEL_CAP), cleaned(value, LABEL_CAP)))
                .collect(),
            version: cleaned(facts.version, HOST_CAP),
            boot_time_s: facts.boot_time_s,
            workspace: cleaned(facts.workspace, NAME_CAP),
        })
    }
}

impl From<&Load> for v1::Load {
    fn from(load: &Load) -> Self {
        let [one, five, fifteen] = load.averages;
        v1::Load { one, five, fifteen, memory_available_bytes: load.memory_available_bytes, uptime_s: load.uptime_s }
    }
}

/// From the wire.
pub fn load_from(load: &v1::Load) -> Load {
    Load {
        averages: [load.one, load.five, load.fifteen],
        memory_available_bytes: load.memory_available_bytes,
        uptime_s: load.uptime_s,
    }
}

/// To the wire.
pub fn machine(machine: &Machine) -> v1::Machine {
    v1::Machine {
        facts: Some((&machine.facts).into()),
        online: machine.is_online,
        last_seen_ms: machine.last_seen_ms,
        load: Some((&machine.load).into()),
        latency_us: machine.latency_us.unwrap_or(0),
        connected_ms: machine.connected_ms,
    }
}

impl TryFrom<v1::Machine> for Machine {
    type Error = IdError;

    fn try_from(machine: v1::Machine) -> Result<Self, IdError> {
        let facts = machine.facts.ok_or_else(|| IdError("machine without facts".into()))?;
        Ok(Machine {
            facts: facts.try_into()?,
            is_online: machine.online,
            last_seen_ms: machine.last_seen_ms,
            load: machine.load.as_ref().map(load_from).unwrap_or_default(),
            latency_us: (machine.latency_us > 0).then_some(machine.latency_us),
            connected_ms: machine.connected_ms,
        })
    }
}
