//! `fleetmux doctor`: looks at everything that has to fit together, and says what to do about what does not.
//!
//! A check is a line of [`CHECKS`] and a function from what was found to a [`Finding`]; what it looks at is gathered once.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use color_eyre::eyre::Result;
use rustix::fs::Access;
use serde_json::json;

use super::agent_link;
use crate::agent::{self, JoinError, Membership, Standing, lock_holder, standing};
use crate::cli::destination::{self, Origin};
use crate::cli::host_args::DoctorArgs;
use crate::cli::identity;
use crate::cli::output::{counted, has_color, json_text, print};
use crate::client::{CERTIFICATE_DAYS_CAP, Error, Probe, probe, reach};
use crate::config::paths;
use crate::fleet::{Endpoint, MachineId};
use crate::relay::CERTIFICATE_WARN_DAYS;
use crate::runtime::{self, Replacement};

/// A check by its name.
struct Check {
    name: &'static str,
    run: fn(&Patient) -> Finding,
}

/// All checks, in the order they are shown.
const CHECKS: &[Check] = &[
    Check { name: "directories", run: directories },
    Check { name: "configuration", run: configuration },
    Check { name: "permissions", run: permissions },
    Check { name: "relay", run: relay },
    Check { name: "http/2", run: http2 },
    Check { name: "version", run: version },
    Check { name: "clock", run: clock },
    Check { name: "certificate", run: certificate },
    Check { name: "agent", run: agent_runs },
    Check { name: "sessions", run: sessions },
    Check { name: "open files", run: open_files },
    Check { name: "terminal", run: terminal },
    Check { name: "locale", run: locale },
];

/// A clock this far from the relay's confuses ages and expiries.
const SKEW_WARN_MS: i64 = 2_000;
/// And this far makes tokens and certificates fail.
const SKEW_FAIL_MS: i64 = 60_000;
/// Fewer open files than this limit an agent or a relay to a few hundred sessions.
const OPEN_FILES_WARN: u64 = 4096;

/// What the checks look at.
struct Patient {
    relay: Endpoint,
    origin: Origin,
    sight: Sight,
    /// Why the configuration cannot be used.
    config_trouble: Option<String>,
    own_dir: Option<PathBuf>,
    agent_dir: PathBuf,
    state_dir: PathBuf,
    agent: Option<u32>,
    link: Option<Standing>,
    joined: Result<Option<Membership>, JoinError>,
}

/// What is seen of the relay.
enum Sight {
    Whole(Box<Probe>),
    /// A machine's key is for its agent only: it answers and proves itself, and tells no more. Time to connect.
    Outside(std::time::Duration),
    Nothing(Error),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Good,
    Odd,
    Bad,
    /// Not looked at.
    Skipped,
}

/// What a check found.
struct Finding {
    level: Level,
    says: String,
    /// What to do about it; empty when nothing is to be done.
    todo: String,
}

fn good(says: impl Into<String>) -> Finding {
    Finding { level: Level::Good, says: says.into(), todo: String::new() }
}

fn odd(says: impl Into<String>, todo: impl Into<String>) -> Finding {
    Finding { level: Level::Odd, says: says.into(), todo: todo.into() }
}

fn bad(says: impl Into<String>, todo: impl Into<String>) -> Finding {
    Finding { level: Level::Bad, says: says.into(), todo: todo.into() }
}

fn skipped(says: impl Into<String>) -> Finding {
    Finding { level: Level::Skipped, says: says.into(), todo: String::new() }
}

/// `settled` is the relay that flags and configuration name, or why the configuration cannot be used.
pub(in crate::cli) async fn run(
    named: Option<Endpoint>,
    settled: Result<Option<Endpoint>>,
    args: &DoctorArgs,
) -> Result<ExitCode> {
    let patient = Patient::admit(named, settled, args).await;
    let findings: Vec<(&str, Finding)> = CHECKS.iter().map(|check| (check.name, (check.run)(&patient))).collect();
    if args.json {
        let list = findings.iter().map(|(name, finding)| {
            let level = ["ok", "warning", "failure", "skipped"][finding.level as usize];
            let todo = Some(&finding.todo).filter(|todo| !todo.is_empty());
            json!({ "check": name, "level": level, "says": finding.says, "todo": todo })
        });
        print(&json_text(&list.collect::<Vec<_>>()))?;
    } else {
        print(&findings.iter().map(|(name, finding)| line(name, finding)).collect::<String>())?;
    }
    let is_ill = findings.iter().any(|(_, finding)| finding.level == Level::Bad);
    Ok(if is_ill { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Patient {
    async fn admit(named: Option<Endpoint>, settled: Result<Option<Endpoint>>, args: &DoctorArgs) -> Patient {
        let config_trouble = settled.as_ref().err().map(|err| format!("{err:#}"));
        let configured = settled.unwrap_or(named);
        let state_dir = paths::agent_state_dir(args.dir.as_deref());
        let agent_dir = args.dir.clone().unwrap_or_else(|| paths::runtime_dir().join("agent"));
        let joined = agent::membership(&state_dir);
        let (relay, origin) = destination::of(configured, joined.as_ref().ok().and_then(Option::as_ref));
        let sight = match (&joined, origin) {
            (Ok(Some(joined)), Origin::Joined) => reach(&relay, &joined.credentials).await.map(Sight::Outside),
            _ => probe(&relay, &identity::options(&relay).credentials).await.map(|probe| Sight::Whole(Box::new(probe))),
        };
        Patient {
            relay,
            origin,
            sight: sight.unwrap_or_else(Sight::Nothing),
            config_trouble,
            own_dir: args.dir.clone(),
            agent: lock_holder(&agent_dir),
            link: standing(&agent_dir),
            agent_dir,
            state_dir,
            joined,
        }
    }

    /// What the relay told, or the finding of a check that has nothing to look at.
    fn probe(&self) -> Result<&Probe, Finding> {
        match &self.sight {
            Sight::Whole(probe) => Ok(probe),
            Sight::Outside(_) => Err(skipped("not looked at: a machine's key is for its agent only")),
            Sight::Nothing(_) => Err(skipped("not looked at: no relay answers")),
        }
    }
}

fn line(name: &str, finding: &Finding) -> String {
    let index = finding.level as usize;
    let mark = if is_utf8() { ["✓", "!", "✗", "·"][index] } else { ["+", "!", "x", "-"][index] };
    let mark = if has_color() { format!("\x1b[{}m{mark}\x1b[0m", [32, 33, 31, 90][index]) } else { mark.to_string() };
    let todo = if finding.todo.is_empty() { String::new() } else { format!("{:16}{}\n", "", finding.todo) };
    format!("{mark} {name:<13} {}\n{todo}", finding.says)
}

fn directories(patient: &Patient) -> Finding {
    let own = rustix::process::getuid().as_raw();
    let mut dirs = vec![paths::runtime_dir(), patient.agent_dir.clone(), patient.state_dir.clone()];
    dirs.extend(paths::config_dir());
    for dir in &dirs {
        let Ok(meta) = std::fs::metadata(dir) else { continue };
        let at = dir.display();
        if !meta.is_dir() || meta.uid() != own {
            return bad(
                format!("{at} is not a directory of yours"),
                "remove it, or name another (FLEETMUX_RUNTIME_DIR, FLEETMUX_STATE_DIR, FLEETMUX_CONFIG_DIR)",
            );
        }
        if meta.mode() & 0o022 != 0 {
            return bad(format!("others may write to {at}"), format!("chmod 700 {at}"));
        }
    }
    let relay_dir = Some(paths::relay_dir()).filter(|dir| dir.exists());
    if let Some((dir, err)) = dirs.iter().chain(&relay_dir).find_map(|dir| Some((dir, try_write(dir).err()?))) {
        return bad(
            format!("{} takes nothing: {err}", dir.display()),
            "make room or let it be written, or name another (FLEETMUX_RUNTIME_DIR, FLEETMUX_STATE_DIR, FLEETMUX_CONFIG_DIR); \
             until then there are no logs, keys and tokens cannot be made, and what runs goes on",
        );
    }
    if let Some(file) = exposed_secret(&patient.state_dir) {
        let at = file.display();
        return bad(format!("others may read {at}"), format!("chmod 600 {at}"));
    }
    good(format!("runtime {}, state {}", paths::runtime_dir().display(), patient.state_dir.display()))
}

/// Writes to a directory, and leaves nothing there; one that is not there yet must be possible to make.
fn try_write(dir: &Path) -> std::io::Result<()> {
    const BYTES: usize = 64 * 1024;
    let Some(there) = dir.ancestors().find(|dir| dir.exists()) else { return Ok(()) };
    rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK)?;
    if there != dir {
        return Ok(());
    }
    let mut file = Replacement::at(&dir.join("doctor"), runtime::Access::New(0o600))?;
    file.file().write_all(&[0; BYTES])?;
    file.file().sync_all()
}

/// A key or database that others may read, in a directory they may enter.
fn exposed_secret(dir: &Path) -> Option<PathBuf> {
    if std::fs::metadata(dir).ok()?.mode() & 0o011 == 0 {
        return None;
    }
    let is_secret = |path: &Path| {
        path.extension()
            .and_then(|e| e.to_str())
            .is_some_and(|extension| ["key", "pem", "token", "redb"].contains(&extension))
    };
    let files = std::fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).filter(|path| is_secret(path));
    files.into_iter().find(|path| std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o044 != 0))
}

fn configuration(patient: &Patient) -> Finding {
    match &patient.config_trouble {
        None => good("the configuration is understood"),
        Some(trouble) if trouble.contains("chmod") => bad(trouble, "until then no command that needs a relay works"),
        Some(trouble) => bad(trouble, "mend the file, or put it aside and `fleetmux login` again"),
    }
}

fn permissions(patient: &Patient) -> Finding {
    let path = paths::permissions_file(patient.own_dir.as_deref());
    match agent::permissions::load(&path) {
        Ok(Some(rules)) => good(format!("{}, default {}", counted(rules.len(), "rule"), rules.default_effect())),
        Ok(None) => {
            good("no file: everything that the relay lets through is allowed here, by an agent that never had one")
        }
        Err(err) => bad(err.to_string(), "mend the file: an agent that starts with it denies everything"),
    }
}

fn relay(patient: &Patient) -> Finding {
    let at = &patient.relay;
    let answers = |connect: std::time::Duration| {
        good(format!("{at} answers, connected in {:.1} ms", connect.as_secs_f64() * 1000.0))
    };
    let whose = match patient.origin {
        Origin::Joined => "this machine has joined it; ",
        Origin::Served => "you serve it from this machine; ",
        Origin::Named | Origin::Own => "",
    };
    match (&patient.sight, at) {
        (Sight::Whole(probe), _) => answers(probe.connect),
        (Sight::Outside(connect), _) => answers(*connect),
        (Sight::Nothing(Error::Unauthenticated(message) | Error::PermissionDenied(message)), _) => {
            bad(format!("the relay answered: {message}"), "log in with another key: `fleetmux login RELAY --key-stdin`")
        }
        (Sight::Nothing(_), Endpoint::Unix(path)) if patient.origin == Origin::Own && !path.exists() => odd(
            "this machine's own relay does not run",
            "any command that needs it starts it; --relay names another one",
        ),
        // The message says what to do.
        (Sight::Nothing(err @ Error::Untrusted(_)), _) => bad(err.to_string(), ""),
        (Sight::Nothing(err), _) => bad(
            err.to_string(),
            format!(
                "{whose}check the address, and that the relay runs there (`fleetmux logs relay` on its host) and the way is open"
            ),
        ),
    }
}

fn http2(patient: &Patient) -> Finding {
    let probe = match patient.probe() {
        Ok(probe) => probe,
        Err(finding) => return finding,
    };
    good(format!("a frame went there and back in {:.2} ms", probe.round_trip.as_secs_f64() * 1000.0))
}

fn version(patient: &Patient) -> Finding {
    let probe = match patient.probe() {
        Ok(probe) => probe,
        Err(finding) => return finding,
    };
    let own = concat!("fleetmux ", env!("CARGO_PKG_VERSION"));
    let says = format!("relay {} (protocol {}), here {own}", probe.software, probe.protocol);
    if probe.software == own {
        good(says)
    } else {
        odd(says, "both understand each other; upgrade the older one all the same")
    }
}

fn clock(patient: &Patient) -> Finding {
    let probe = match patient.probe() {
        Ok(probe) => probe,
        Err(finding) => return finding,
    };
    let Some(skew) = probe.skew_ms else {
        return odd("the relay does not tell its time", "upgrade the relay");
    };
    let says = format!(
        "the relay's clock is {:.1} s {}",
        skew.abs() as f64 / 1000.0,
        if skew < 0 { "behind" } else { "ahead" }
    );
    let todo = "set both clocks (timedatectl set-ntp true)";
    match skew.abs() {
        ..SKEW_WARN_MS => good(says),
        SKEW_WARN_MS..SKEW_FAIL_MS => odd(says, todo),
        _ => bad(says, todo),
    }
}

fn certificate(patient: &Patient) -> Finding {
    let probe = match patient.probe() {
        Ok(probe) => probe,
        Err(finding) => return finding,
    };
    if !matches!(patient.relay, Endpoint::Tls(_)) {
        return good("no TLS, so there is none");
    }
    let Some(days) = probe.certificate_days else { return odd("the relay's could not be read", "") };
    let todo = "run `fleetmux relay init --renew` where the relay runs; nothing else has to be done";
    match days {
        ..CERTIFICATE_WARN_DAYS => odd(format!("the relay's expires in {}", counted(days as usize, "day")), todo),
        CERTIFICATE_DAYS_CAP.. => good(format!("the relay's is good for {CERTIFICATE_DAYS_CAP} days and more")),
        _ => good(format!("the relay's is good for {days} days")),
    }
}

fn own_id(patient: &Patient) -> Option<MachineId> {
    std::fs::read_to_string(patient.state_dir.join("machine-id")).ok()?.trim().parse().ok()
}

/// The agent's own relay counts, which need not be the one that this user's commands talk to.
fn agent_runs(patient: &Patient) -> Finding {
    let joined = match &patient.joined {
        Ok(joined) => joined.as_ref(),
        Err(err) => return bad(err.to_string(), ""),
    };
    let Some(pid) = patient.agent else {
        return match joined {
            Some(joined) => odd(
                format!("no agent runs here, and this machine has joined {} as {}", joined.relay, joined.name),
                "`fleetmux agent start`",
            ),
            None => odd("no agent runs here", "`fleetmux agent start`, if this machine is to be in the fleet"),
        };
    };
    match &patient.link {
        Some(link) if link.is_linked => good(format!("process {pid} runs, {}", agent_link::words(link))),
        Some(link) => bad(
            format!("process {pid} runs, {}", agent_link::words(link)),
            "`fleetmux logs agent` has more; `fleetmux agent status` says how it stands now",
        ),
        None => odd(format!("process {pid} runs, and does not tell whether it is linked"), "`fleetmux agent restart`"),
    }
}

fn sessions(patient: &Patient) -> Finding {
    let sockets = crate::agent::session_count(&paths::sessions_dir(&patient.agent_dir));
    let says = match sockets {
        0 => "none on this machine".to_string(),
        _ => format!("{} on this machine", counted(sockets, "session")),
    };
    if patient.agent.is_none() {
        return if sockets == 0 { good(says) } else { odd(says, "an agent adopts them: `fleetmux agent start`") };
    }
    // Another relay than the agent's knows nothing of them.
    let is_asked = patient.link.as_ref().is_some_and(|link| link.relay == patient.relay.to_string());
    let (Sight::Whole(probe), Some(id), true) = (&patient.sight, own_id(patient), is_asked) else {
        return good(says);
    };
    let known = probe.sessions.iter().filter(|session| session.machine == id).count();
    if known < sockets {
        let todo = "the others do not answer (stopped? overloaded?); `fleetmux logs agent` names them";
        return odd(format!("{known} of {sockets} keepers are adopted"), todo);
    }
    good(format!("{}, all adopted", counted(known, "session")))
}

fn open_files(_: &Patient) -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match limit.maximum {
        Some(hard) if hard < OPEN_FILES_WARN => odd(
            format!("at most {hard} open files; agent and relay need two for a session"),
            "raise the hard limit (`ulimit -Hn`, LimitNOFILE= of the unit)",
        ),
        Some(hard) => good(format!("up to {hard}")),
        None => good("no limit"),
    }
}

fn terminal(_: &Patient) -> Finding {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    if !std::io::stdout().is_terminal() {
        return good("not a terminal; nothing to look at");
    }
    let term = var("TERM");
    if term.is_empty() || term == "dumb" {
        return odd("TERM names no terminal", "the wall needs one: TERM=xterm-256color, if yours is of that kind");
    }
    let has_true_color = ["truecolor", "24bit"].contains(&var("COLORTERM").as_str()) || term.contains("direct");
    let says = format!("{term}, {}", if has_true_color { "true colour" } else { "256 colours" });
    if has_true_color { good(says) } else { odd(says, "if it can do true colour, say so: COLORTERM=truecolor") }
}

fn is_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
    set.into_iter().find(|value| !value.is_empty()).is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

fn locale(_: &Patient) -> Finding {
    if is_utf8() {
        return good("UTF-8");
    }
    odd("not UTF-8: borders and letters come out wrong", "export LANG=C.UTF-8")
}
