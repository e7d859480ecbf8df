//! A wall without terminal: messages go in, effects and text come out.

use std::collections::BTreeMap;

use fleetmux::client::{AttachEvent, ConnectionState};
use fleetmux::fleet::*;
use fleetmux::tui::effect::Effect;
use fleetmux::tui::input::{Input, Keymap};
use fleetmux::tui::model::{Model, Open, PaneId, Setup};
use fleetmux::tui::msg::Msg;
use fleetmux::tui::presenter::{Depth, Presenter};
use fleetmux::tui::{draw, theme, update};

const NOW_MS: u64 = 1_800_000_000_000;

pub(crate) struct Wall {
    pub(crate) model: Model,
    presenter: Presenter,
    pub(crate) effects: Vec<Effect>,
}

impl Wall {
    /// A wall on machines with sessions, all attached as observers.
    pub(crate) fn open(cols: u16, rows: u16, fleet: &[(&str, &[&str])]) -> Wall {
        Wall::with(cols, rows, fleet, false)
    }

    /// The same on sessions opened by name, with a broadcast to them from the start.
    pub(crate) fn broadcasting(cols: u16, rows: u16, fleet: &[(&str, &[&str])]) -> Wall {
        Wall::with(cols, rows, fleet, true)
    }

    fn with(cols: u16, rows: u16, fleet: &[(&str, &[&str])], broadcasts: bool) -> Wall {
        let machines: Vec<Machine> = fleet.iter().map(|(name, _)| machine(name)).collect();
        let mut sessions = Vec::new();
        for (machine, (_, names)) in machines.iter().zip(fleet) {
            sessions.extend(names.iter().map(|name| session(machine.facts.id, name)));
        }
        let ids = sessions.iter().map(Session::id).collect();
        let setup = Setup {
            keymap: Keymap::with_leader("").unwrap(),
            themes: theme::load(None).unwrap(),
            theme: 0,
            open: if broadcasts { Open::Sessions(ids) } else { Open::AllSessions },
            drives: broadcasts,
            broadcasts,
            shell_on: Some("here".into()),
            history_bytes: 1 << 20,
            ends_fleet: false,
        };
        let model = Model::new(setup, cols, rows);
        let mut wall = Wall { model, presenter: Presenter::new(cols, rows, Depth::True), effects: Vec::new() };
        wall.take(Msg::Time(NOW_MS));
        wall.take(Msg::Connection(ConnectionState::Connected {
            server: "relay".into(),
            latency_us: Some(300),
            unanswered: None,
        }));
        wall.take(Msg::Fleet { machines, sessions });
        for n in 0..wall.model.order.len() {
            wall.attached(n, if broadcasts { Role::Driver } else { Role::Observer });
        }
        wall
    }

    /// The same with the wheel of the focused pane in hand.
    pub(crate) fn driving(mut self) -> Wall {
        self.keys("i");
        self.grant();
        self.effects.retain(|effect| !matches!(effect, Effect::SetRole { .. }));
        self
    }

    pub(crate) fn take(&mut self, msg: Msg) {
        self.effects.extend(update(&mut self.model, msg));
    }

    /// Keys by name; letters may be joined by dashes: `x-y`.
    pub(crate) fn keys(&mut self, keys: &str) {
        for key in keys.split([' ']) {
            for key in
                if key.len() > 2 && key.split('-').all(|k| k.len() == 1) { key.split('-').collect() } else { vec![key] }
            {
                self.take(Msg::Input(Input::Key(key.parse().unwrap())));
            }
        }
    }

    pub(crate) fn paste(&mut self, text: &str) {
        self.take(Msg::Input(Input::Paste(text.as_bytes().to_vec())));
    }

    /// Time passes, milliseconds.
    pub(crate) fn wait(&mut self, ms: u64) {
        let now = self.model.now_ms + ms;
        self.take(Msg::Time(now));
    }

    pub(crate) fn resize(&mut self, cols: u16, rows: u16) {
        self.presenter.reset(cols, rows);
        self.take(Msg::Resized { cols, rows });
    }

    pub(crate) fn pane(&self, n: usize) -> PaneId {
        self.model.order[n]
    }

    pub(crate) fn event(&mut self, n: usize, event: AttachEvent) {
        self.take(Msg::Attach { pane: self.pane(n), event });
    }

    pub(crate) fn output(&mut self, n: usize, text: &str) {
        self.event(n, AttachEvent::Output { offset: 0, data: text.to_string().into() });
    }

    pub(crate) fn attached(&mut self, n: usize, role: Role) {
        let size = self.model.panes[&self.pane(n)].screen.size();
        self.event(n, AttachEvent::Attached { role, offset: 0, skipped: 0, size, number: 1, is_resumed: false });
    }

    /// The keepers grant every role that was asked for.
    pub(crate) fn grant(&mut self) {
        for effect in self.effects.clone() {
            if let Effect::SetRole { pane, role } = effect {
                self.take(Msg::Attach { pane, event: AttachEvent::RoleChanged(role) });
            }
        }
        self.effects.retain(|effect| !matches!(effect, Effect::SetRole { .. }));
    }

    /// Effects since last asked.
    pub(crate) fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Input sent since last asked, `1:ls 2:ls`, by pane number.
    pub(crate) fn sent(&mut self) -> String {
        let mut by_pane: BTreeMap<usize, String> = BTreeMap::new();
        for effect in &self.effects {
            if let Effect::Input { pane, bytes } = effect {
                by_pane.entry(self.model.number_of(*pane)).or_default().push_str(&String::from_utf8_lossy(bytes));
            }
        }
        self.effects.retain(|effect| !matches!(effect, Effect::Input { .. }));
        by_pane.iter().map(|(pane, text)| format!("{pane}:{text}")).collect::<Vec<_>>().join(" ")
    }

    /// Draws; the number of bytes that the outer terminal gets.
    pub(crate) fn frame(&mut self) -> usize {
        let damage = self.model.take_damage(None);
        let cursor = draw(&self.model, &damage, &mut self.presenter);
        let mut bytes = Vec::new();
        self.presenter.present(cursor, &mut bytes);
        bytes.len()
    }

    /// What is drawn, as text.
    pub(crate) fn screen(&mut self) -> String {
        self.frame();
        let front = self.presenter.front();
        let mut text = String::new();
        for row in front.content.chunks(front.area.width.into()) {
            let line: String = row.iter().map(|cell| cell.symbol()).collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    pub(crate) fn machine_name(&self, id: MachineId) -> String {
        self.model.fleet.machine_name(id).to_string()
    }
}

fn machine(name: &str) -> Machine {
    Machine {
        facts: MachineFacts {
            id: MachineId::random(),
            name: name.into(),
            hostname: name.into(),
            os: "Debian GNU/Linux 12".into(),
            kernel: "6.1".into(),
            arch: "x86_64".into(),
            cpus: 4,
            memory_bytes: 8 << 30,
            labels: Labels::new(),
            version: "0.1.0".into(),
            boot_time_s: 0,
            workspace: String::new(),
        },
        is_online: true,
        last_seen_ms: NOW_MS,
        load: Load { averages: [0.42, 0.3, 0.2], memory_available_bytes: 4 << 30, uptime_s: 90_000 },
        latency_us: Some(412),
        connected_ms: NOW_MS,
    }
}

fn session(machine: MachineId, name: &str) -> Session {
    Session {
        machine,
        spec: SessionSpec::command([name]),
        pid: 4242,
        created_ms: NOW_MS - 60_000,
        summary: Summary {
            offset: 0,
            title: String::new(),
            cwd: String::new(),
            size: Size::DEFAULT,
            drivers: 0,
            observers: 0,
            clients: Vec::new(),
            last_output_ms: None,
            attached_ms: None,
            exit: None,
        },
    }
}
