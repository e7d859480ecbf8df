//! `fleetmux machines`.

use std::process::ExitCode;

use color_eyre::eyre::Result;

use crate::cli::args::MachinesArgs;
use crate::cli::background;
use crate::cli::output::{ago, machine_json, print, table};
use crate::fleet::{Endpoint, Machine, Session};
use crate::runtime::now_ms;

pub(in crate::cli) async fn run(relay: Option<Endpoint>, args: &MachinesArgs) -> Result<ExitCode> {
    let client = background::client(relay).await?;
    let (mut machines, sessions) = client.fleet().await?;
    machines.sort_by(|a, b| a.facts.name.cmp(&b.facts.name));
    if args.json {
        let list: Vec<_> = machines.iter().map(machine_json).collect();
        print(&format!("{}\n", serde_json::to_string_pretty(&list)?))?;
    } else {
        print(&list(&machines, &sessions))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The table, for `connect --list` too.
pub(super) fn list(machines: &[Machine], sessions: &[Session]) -> String {
    let now = now_ms();
    let row = |machine: &Machine| {
        let count = sessions.iter().filter(|session| session.machine == machine.facts.id).count();
        let status = match machine.is_online {
            true => "online".to_string(),
            false => format!("offline, seen {} ago", ago(machine.last_seen_ms, now)),
        };
        let labels: Vec<String> = machine.facts.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        vec![
            machine.facts.name.clone(),
            status,
            machine.latency_us.map_or("-".into(), |us| format!("{:.1} ms", f64::from(us) / 1000.0)),
            format!("{:.2}", machine.load.averages[0]),
            count.to_string(),
            machine.facts.os.clone(),
            if labels.is_empty() { "-".into() } else { labels.join(",") },
        ]
    };
    let rows: Vec<Vec<String>> = machines.iter().map(row).collect();
    table(&["NAME", "STATUS", "LATENCY", "LOAD", "SESSIONS", "OS", "LABELS"], &rows)
}
