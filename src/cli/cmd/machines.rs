//! `fleetmux machines`: the fleet as a table, once or as it changes; and `forget`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::Result;

use crate::cli::args::{MachinesArgs, MachinesCommand};
use crate::cli::background;
use crate::cli::output::{Column, Page, complain, json_line, json_text, machine_json, print, print_on};
use crate::client::FleetEvent;
use crate::fleet::{Endpoint, Machine, MachineId, Selector, SessionId, ago, labels_text};
use crate::runtime::now_ms;

/// How often ages on a watched table move on.
const TICK: Duration = Duration::from_secs(1);

pub(in crate::cli) async fn run(relay: Option<Endpoint>, args: &MachinesArgs) -> Result<ExitCode> {
    if relay.is_none() && std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        complain!(
            "no relay is configured: this is this computer alone; `fleetmux login RELAY --key-stdin` shows a fleet"
        );
    }
    if let Some(MachinesCommand::Forget { machines }) = &args.command {
        return forget(relay, machines).await;
    }
    let client = background::client(relay).await?;
    let selector = args.selector.clone().unwrap_or(Selector::All);
    if args.watch {
        return watch(&client, selector, args.json).await;
    }
    let (machines, sessions) = client.fleet().await?;
    let mut fleet = Fleet::of(selector);
    fleet.take(FleetEvent::Snapshot { machines, sessions });
    if args.json {
        let list: Vec<_> = fleet.sorted().into_iter().map(|machine| fleet.json(machine)).collect();
        print(&json_text(&list))?;
    } else {
        print(&fleet.table(&Page::of_stdout(), now_ms()))?;
        if fleet.machines.is_empty() {
            complain!("no machine has joined this relay yet; run `fleetmux agent start` on one");
        } else if fleet.sorted().is_empty() {
            complain!("no machine fits {}; `fleetmux machines` lists all names and labels", fleet.selector);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Forgets machines, each for itself: one that is online or unknown is no reason to keep the others.
async fn forget(relay: Option<Endpoint>, wanted: &[String]) -> Result<ExitCode> {
    let client = background::client(relay).await?;
    let mut is_done = true;
    for wanted in wanted {
        let forgotten = match super::keys::listed(&client, wanted.clone()).await {
            Ok(machine) => client.forget_machine(&machine).await.map_err(Into::into),
            Err(err) => Err(err),
        };
        match forgotten {
            Ok((name, true)) => print(&format!("{name} is forgotten, and its key is revoked\n"))?,
            Ok((name, false)) => print(&format!("{name} is forgotten\n"))?,
            Err(err) => {
                is_done = false;
                complain!("{wanted}: {err}");
            }
        }
    }
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(crate::cli::FAILED) })
}

/// What is known now.
struct Fleet {
    /// Only these are shown; a machine comes and goes as its labels do.
    selector: Selector,
    machines: BTreeMap<MachineId, Machine>,
    sessions: BTreeMap<MachineId, BTreeSet<SessionId>>,
}

impl Fleet {
    fn of(selector: Selector) -> Fleet {
        Fleet { selector, machines: BTreeMap::new(), sessions: BTreeMap::new() }
    }

    /// The machine that changed, unless it is all of them.
    fn take(&mut self, event: FleetEvent) -> Option<MachineId> {
        match event {
            FleetEvent::Snapshot { machines, sessions } => {
                self.machines = machines.into_iter().map(|machine| (machine.facts.id, machine)).collect();
                self.sessions.clear();
                for session in sessions {
                    self.sessions.entry(session.machine).or_default().insert(session.id());
                }
                None
            }
            FleetEvent::Machine(machine) => {
                let id = machine.facts.id;
                self.machines.insert(id, machine);
                Some(id)
            }
            FleetEvent::MachineRemoved(id) => {
                self.machines.remove(&id);
                self.sessions.remove(&id);
                Some(id)
            }
            FleetEvent::Session(session) => {
                self.sessions.entry(session.machine).or_default().insert(session.id());
                Some(session.machine)
            }
            FleetEvent::SessionRemoved { machine, session } => {
                self.sessions.entry(machine).or_default().remove(&session);
                Some(machine)
            }
        }
    }

    fn sorted(&self) -> Vec<&Machine> {
        let mut machines: Vec<&Machine> =
            self.machines.values().filter(|machine| self.selector.matches(&machine.facts)).collect();
        machines.sort_by(|a, b| a.facts.name.cmp(&b.facts.name));
        machines
    }

    fn count(&self, machine: &Machine) -> usize {
        self.sessions.get(&machine.facts.id).map_or(0, BTreeSet::len)
    }

    fn json(&self, machine: &Machine) -> serde_json::Value {
        let mut json = machine_json(machine);
        json["sessions"] = self.count(machine).into();
        json
    }

    fn table(&self, page: &Page, now: u64) -> String {
        // The number says which columns a narrow terminal does without: the highest goes first.
        const COLUMNS: [Column; 8] = [
            Column("NAME", 0),
            Column("STATUS", 0),
            Column("LATENCY", 3),
            Column("LOAD", 4),
            Column("SESSIONS", 2),
            Column("SEEN", 1),
            Column("OS", 6),
            Column("LABELS", 5),
        ];
        let row = |machine: &&Machine| {
            let labels = labels_text(&machine.facts.labels);
            vec![
                machine.facts.name.clone(),
                if machine.is_online { "online" } else { "offline" }.into(),
                machine.latency_us.map_or("-".into(), |us| format!("{:.1} ms", f64::from(us) / 1000.0)),
                format!("{:.2}", machine.load.averages[0]),
                self.count(machine).to_string(),
                if machine.is_online { "now".into() } else { format!("{} ago", ago(machine.last_seen_ms, now)) },
                machine.facts.os.clone(),
                if labels.is_empty() { "-".into() } else { labels },
            ]
        };
        let machines = self.sorted();
        let rows: Vec<Vec<String>> = machines.iter().map(row).collect();
        page.table(&COLUMNS, &rows, |row, column| match column {
            1 if machines[row].is_online => Some("32"),
            1 => Some("31"),
            _ => None,
        })
    }
}

async fn watch(client: &crate::client::Client, selector: Selector, is_json: bool) -> Result<ExitCode> {
    let is_terminal = std::io::stdout().is_terminal();
    let mut events = client.watch_fleet();
    let mut fleet = Fleet::of(selector);
    let mut shown = Shown::default();
    let mut tick = tokio::time::interval(TICK);
    loop {
        let changed = tokio::select! {
            event = events.recv() => match event {
                Some(event) => fleet.take(event),
                None => return Ok(ExitCode::SUCCESS),
            },
            _ = tick.tick(), if is_terminal && !is_json && !fleet.machines.is_empty() => None,
        };
        let text = if is_json { shown.json_lines(&fleet, changed)? } else { shown.table(&fleet, is_terminal) };
        if !print_on(&text)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// What a watcher has been told.
#[derive(Default)]
struct Shown {
    lines: usize,
    table: String,
    json: BTreeMap<MachineId, serde_json::Value>,
}

impl Shown {
    /// A line for each machine that is new, different or gone.
    fn json_lines(&mut self, fleet: &Fleet, changed: Option<MachineId>) -> Result<String> {
        let mut text = String::new();
        let is_shown =
            |id: &MachineId| fleet.machines.get(id).is_some_and(|machine| fleet.selector.matches(&machine.facts));
        let gone: Vec<MachineId> = self.json.keys().filter(|id| !is_shown(id)).copied().collect();
        for id in gone {
            self.json.remove(&id);
            text += &json_line(&serde_json::json!({ "machine_id": id.to_string(), "status": "removed" }))?;
        }
        for machine in fleet.sorted() {
            let id = machine.facts.id;
            let json = fleet.json(machine);
            if changed.is_none_or(|changed| changed == id) && self.json.get(&id) != Some(&json) {
                text += &json_line(&json)?;
                self.json.insert(id, json);
            }
        }
        Ok(text)
    }

    /// The table over the one before on a terminal; below it, if different, elsewhere.
    fn table(&mut self, fleet: &Fleet, is_terminal: bool) -> String {
        let page = Page::of_stdout();
        let table = fleet.table(&page, now_ms());
        if !is_terminal {
            let is_new = table != self.table;
            self.table = table;
            return if is_new { format!("{}\n", self.table) } else { String::new() };
        }
        // What does not fit would scroll, and could not be drawn over.
        let lines: Vec<&str> = table.lines().take(page.rows.saturating_sub(1)).collect();
        let up = if self.lines > 0 { format!("\x1b[{}A", self.lines) } else { String::new() };
        self.lines = lines.len();
        format!("{up}\r{}\x1b[J", lines.iter().map(|line| format!("{line}\x1b[K\n")).collect::<String>())
    }
}
