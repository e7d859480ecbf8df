//! `fleetmux keys create|list|revoke`, and the relay's tokens and machine keys.

use std::path::Path;
use std::process::ExitCode;

use color_eyre::eyre::{Result, bail};

use crate::cli::args::{KeysCommand, RelayMachinesCommand, SetMachineArgs, TokenArgs};
use crate::cli::destination::{self, Origin};
use crate::cli::output::{complain, json_text, print, table};
use crate::cli::{background, identity};
use crate::client::{Client, KeyInfo, KeyRequest, MachineChange, TokenRequest};
use crate::config::paths;
use crate::fleet::{Actions, Code, Endpoint, ago, find_machine, labels_text};
use crate::runtime::now_ms;

pub(in crate::cli) async fn run(relay: Option<Endpoint>, command: KeysCommand) -> Result<ExitCode> {
    let client = admin(relay, None).await?;
    match command {
        KeysCommand::Create(args) => {
            let request = KeyRequest {
                name: args.name.or(args.flag_name).unwrap_or_default(),
                workspace: args.workspace,
                actions: args.actions.into_iter().collect(),
                expires_s: args.expires.map(|life| life.0),
                prefix: args.prefix,
            };
            let (secret, info) = client.create_key(request).await?;
            // Only the key on standard output, for scripts; what it is goes beside it.
            print(&format!("{}\n", secret.reveal()))?;
            let relay = client.connection_info().server;
            complain!("key {} for workspace {} may {} at {relay}", info.name, info.workspace, words(&info.actions));
            complain!("it is not shown again; give it to a client with `fleetmux login RELAY --key-stdin`");
        }
        KeysCommand::List { json } => {
            let keys = client.keys().await?.into_iter().filter(|key| key.machine.is_none()).collect::<Vec<_>>();
            print(&if json { as_json(&keys) } else { as_table(&keys) })?;
        }
        KeysCommand::Revoke { wanted } => {
            let revoked = client.revoke_key(&wanted).await?;
            print(&format!("key {} ({}…) is revoked; whoever used it is cut off\n", revoked.name, revoked.hint))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `fleetmux relay token`.
pub(in crate::cli) async fn token(relay: Option<Endpoint>, args: TokenArgs) -> Result<ExitCode> {
    let labels = super::agent::labels(&args.labels)?;
    let client = admin(relay, args.dir.as_deref()).await?;
    let request = TokenRequest {
        workspace: args.workspace,
        expires_s: Some(args.expires.0),
        is_reusable: args.reusable,
        labels,
        address: args.address,
        name: args.name,
        allow_names: args.allow_names,
        allow_labels: args.allow_labels,
        may_replace: args.replace,
    };
    let (token, expires_ms) = client.create_token(request).await?;
    print(&format!("{}\n", token.reveal()))?;
    let minutes = expires_ms.saturating_sub(now_ms()).div_ceil(60_000);
    let times = if args.reusable { "as often as you like" } else { "once" };
    complain!("good {times} in the next {minutes} min, on the machine: fleetmux agent join TOKEN");
    Ok(ExitCode::SUCCESS)
}

/// `fleetmux relay machines list|set|revoke`.
pub(in crate::cli) async fn machines(relay: Option<Endpoint>, command: RelayMachinesCommand) -> Result<ExitCode> {
    match command {
        RelayMachinesCommand::List { json, dir } => {
            let client = admin(relay, dir.as_deref()).await?;
            let mut keys: Vec<KeyInfo> = client.keys().await?.into_iter().filter(|key| key.machine.is_some()).collect();
            // A machine's key is called as it joined, the machine as its agent says now.
            let (machines, _) = client.fleet().await?;
            for key in &mut keys {
                if let Some(machine) = machines.iter().find(|machine| Some(machine.facts.id) == key.machine) {
                    key.name.clone_from(&machine.facts.name);
                }
            }
            print(&if json { as_json(&keys) } else { machines_table(&keys) })?;
        }
        RelayMachinesCommand::Set(args) => return set(relay, args).await,
        RelayMachinesCommand::Revoke { machine, dir } => {
            let client = admin(relay, dir.as_deref()).await?;
            let revoked = client.revoke_machine(&listed(&client, machine).await?).await?;
            print(&format!(
                "the key of machine {} is revoked; its agent is cut off, its sessions live on there\n",
                revoked.name
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A machine by the name it is listed with, as its id; the relay itself knows names and ids whole.
pub(super) async fn listed(client: &Client, wanted: String) -> Result<String> {
    let (machines, _) = client.fleet().await?;
    match find_machine(&machines, &wanted) {
        Ok(found) => Ok(found.facts.id.to_string()),
        Err(refusal) if refusal.code == Code::Ambiguous => Err(refusal.into()),
        Err(_) => Ok(wanted),
    }
}

async fn set(relay: Option<Endpoint>, args: SetMachineArgs) -> Result<ExitCode> {
    let labels = super::agent::labels(&args.labels)?;
    if args.name.is_none() && args.hostname.is_none() && labels.is_empty() && args.remove_labels.is_empty() {
        bail!("there is nothing to set; name --name, --label, --remove-label or --hostname");
    }
    let client = admin(relay, args.dir.as_deref()).await?;
    let wanted = listed(&client, args.machine).await?;
    let change = MachineChange { name: args.name, hostname: args.hostname, labels, remove_labels: args.remove_labels };
    let set = client.set_machine(&wanted, change).await?;
    if args.json {
        print(&as_json(&[set]))?;
        return Ok(ExitCode::SUCCESS);
    }
    let labels = if set.labels.is_empty() { "no labels".into() } else { labels_text(&set.labels) };
    print(&format!("{} (host name {}) has {labels}\n", set.name, set.hostname))?;
    Ok(ExitCode::SUCCESS)
}

/// A connection for managing keys: to the relay named, or the one that this user serves to others from this machine, or
/// the configuration's, or this machine's own background one.
async fn admin(named: Option<Endpoint>, dir: Option<&Path>) -> Result<Client> {
    let served = |dir: &Path| Some(paths::relay_socket(dir)).filter(|socket| socket.exists()).map(Endpoint::Unix);
    let endpoint = match (named, dir) {
        (_, Some(dir)) => served(dir),
        (Some(relay), None) => Some(relay),
        (None, None) => destination::served().or_else(identity::configured).or_else(|| served(&paths::runtime_dir())),
    };
    let Some(endpoint) = endpoint else {
        bail!("no relay of yours runs on this machine; name one with --relay, or start it first");
    };
    // Whosever it is: nothing is started for it.
    background::connect((endpoint, Origin::Named)).await
}

fn words(actions: &Actions) -> String {
    actions.iter().map(|action| action.name()).collect::<Vec<_>>().join(", ")
}

fn as_table(keys: &[KeyInfo]) -> String {
    let now = now_ms();
    let row = |key: &KeyInfo| {
        vec![
            key.name.clone(),
            key.workspace.clone(),
            if key.machine.is_some() { "agent".into() } else { words(&key.actions) },
            format!("{}…", key.hint),
            format!("{} ago", ago(key.created_ms, now)),
            key.last_used_ms.map_or("never".into(), |used| format!("{} ago", ago(used, now))),
            key.expires_ms.map_or("never".into(), |expires| match expires.checked_sub(now) {
                Some(left) => format!("in {}", ago(0, left)),
                None => "expired".into(),
            }),
            key.id.clone(),
        ]
    };
    let header = ["NAME", "WORKSPACE", "MAY", "KEY", "CREATED", "USED", "EXPIRES", "ID"];
    table(&header, &keys.iter().map(row).collect::<Vec<_>>())
}

/// Two machines may have one name: the id is what `revoke` always understands.
fn machines_table(keys: &[KeyInfo]) -> String {
    let now = now_ms();
    let row = |key: &KeyInfo| {
        let labels = labels_text(&key.labels);
        vec![
            key.name.clone(),
            key.machine.map_or_else(String::new, |id| id.to_string()),
            key.workspace.clone(),
            format!("{} ago", ago(key.created_ms, now)),
            key.last_used_ms.map_or("never".into(), |used| format!("{} ago", ago(used, now))),
            if labels.is_empty() { "-".into() } else { labels },
        ]
    };
    table(&["NAME", "ID", "WORKSPACE", "JOINED", "USED", "LABELS"], &keys.iter().map(row).collect::<Vec<_>>())
}

fn as_json(keys: &[KeyInfo]) -> String {
    let one = |key: &KeyInfo| {
        serde_json::json!({
            "id": key.id,
            "name": key.name,
            "workspace_id": key.workspace,
            "actions": key.actions.iter().map(|action| action.name()).collect::<Vec<_>>(),
            "hint": key.hint,
            "created_at_ms": key.created_ms,
            "last_used_at_ms": key.last_used_ms,
            "expires_at_ms": key.expires_ms,
            "machine_id": key.machine.map(|id| id.to_string()),
            "hostname": key.machine.map(|_| &key.hostname),
            "labels": key.machine.map(|_| &key.labels),
        })
    };
    json_text(&keys.iter().map(one).collect::<Vec<_>>())
}
