//! `fleetmux bench`: this installation measured end to end, over the same path as every session.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use color_eyre::eyre::{Result, bail, eyre};

use crate::cli::args::BenchCommand;
use crate::cli::background;
use crate::cli::output::print;
use crate::client::{AttachEvent, AttachOptions, Attachment, Client, ExecEvent, ExecOptions};
use crate::fleet::{Endpoint, MachineId, Role, SessionSpec, Size};
use crate::stream::Delivery;

/// A step that takes longer has failed.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);
/// Keystrokes before the measured ones.
const WARM_UP: u32 = 50;

pub(in crate::cli) async fn run(relay: Option<Endpoint>, command: BenchCommand) -> Result<ExitCode> {
    let client = background::client(relay).await?;
    match command {
        BenchCommand::Echo { samples, pace_ms } => echo(&client, samples, Duration::from_millis(pace_ms)).await?,
        BenchCommand::Exec { samples, megabytes } => exec(&client, samples, megabytes).await?,
        BenchCommand::Flood { megabytes, lossless } => flood(&client, megabytes, lossless).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn echo(client: &Client, samples: u32, pace: Duration) -> Result<()> {
    let program = std::env::current_exe()?.to_string_lossy().into_owned();
    let mut bench = Bench::start(client, vec![program, "demo-app".into(), "echo".into()], Delivery::Latest).await?;
    let mut times = Vec::with_capacity(samples as usize);
    for index in 0..samples + WARM_UP {
        let key = b'a' + (index % 26) as u8;
        let sent = Instant::now();
        bench.attachment.handle().input(Bytes::copy_from_slice(&[key]))?;
        bench.wait_for(|data| data.contains(&key)).await?;
        if index >= WARM_UP {
            times.push(sent.elapsed());
        }
        if !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
    }
    print(&format!("echo, {samples} keystrokes: {}\n", percentiles(times)))?;
    bench.end(client).await
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    let at = |share: f64| times.get((last as f64 * share) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    format!("p50 {:.3} ms, p90 {:.3} ms, p99 {:.3} ms, max {:.3} ms", at(0.5), at(0.9), at(0.99), at(1.0))
}

async fn exec(client: &Client, samples: u32, megabytes: u64) -> Result<()> {
    let machine = machine_here(client).await?;
    let mut times = Vec::with_capacity(samples as usize);
    for index in 0..samples + WARM_UP {
        let started = Instant::now();
        let output = tokio::time::timeout(STEP_TIMEOUT, client.run(machine, ExecOptions::argv(["true"]))).await??;
        if output.exit.code != 0 {
            bail!("`true` ended with {}", output.exit.code);
        }
        if index >= WARM_UP {
            times.push(started.elapsed());
        }
    }
    print(&format!("exec, {samples} times `true`: {}\n", percentiles(times)))?;
    let count = megabytes * 1_000_000;
    let options = ExecOptions { timeout: None, ..ExecOptions::shell(format!("head -c {count} /dev/zero")) };
    let started = Instant::now();
    let mut handle = client.exec(machine, options).await?;
    let mut received = 0;
    while let Some(event) = tokio::time::timeout(STEP_TIMEOUT, handle.recv()).await?? {
        if let ExecEvent::Stdout(data) = event {
            received += data.len() as u64;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    print(&format!(
        "exec, {} MB of output: {seconds:.2} s, {:.0} MB/s\n",
        received / 1_000_000,
        received as f64 / 1e6 / seconds
    ))?;
    Ok(())
}

/// The machine this program runs on, or any that is online.
async fn machine_here(client: &Client) -> Result<MachineId> {
    let host = rustix::system::uname();
    let hostname = host.nodename().to_string_lossy().into_owned();
    let (machines, _) = client.fleet().await?;
    let here = machines.iter().find(|machine| machine.is_online && machine.facts.hostname == hostname);
    let machine = here.or(machines.iter().find(|machine| machine.is_online));
    Ok(machine.ok_or_else(|| eyre!("no machine is online; see `fleetmux machines`"))?.facts.id)
}

async fn flood(client: &Client, megabytes: u64, lossless: bool) -> Result<()> {
    const END: &[u8] = b"flood-has-ended";
    let count = megabytes * 1_000_000;
    // The marker is put together by the shell, so that its echo is not taken for the end.
    let script = format!(
        "read x; yes 2026-11-21T12:00:00 INFO request accepted by worker 7 in 12 ms | head -c {count}; printf '\\nflood-has-%s\\n' ended; read x"
    );
    let delivery = if lossless { Delivery::Lossless } else { Delivery::Latest };
    let mut bench = Bench::start(client, vec!["/bin/sh".into(), "-c".into(), script], delivery).await?;
    let started = Instant::now();
    bench.attachment.handle().input(Bytes::from_static(b"\n"))?;
    let mut tail = Vec::new();
    bench
        .wait_for(|data| {
            tail.extend_from_slice(data);
            let found = tail.windows(END.len()).any(|window| window == END);
            tail.drain(..tail.len().saturating_sub(END.len()));
            found
        })
        .await?;
    let seconds = started.elapsed().as_secs_f64();
    print(&format!(
        "flood, {megabytes} MB: {seconds:.2} s, {:.0} MB/s; received {:.1} MB, skipped {:.1} MB\n",
        count as f64 / 1e6 / seconds,
        bench.received as f64 / 1e6,
        bench.skipped as f64 / 1e6
    ))?;
    bench.end(client).await
}

struct Bench {
    attachment: Attachment,
    received: u64,
    skipped: u64,
}

impl Bench {
    async fn start(client: &Client, command: Vec<String>, delivery: Delivery) -> Result<Bench> {
        let machine = machine_here(client).await?;
        let session = client.create_session(machine, SessionSpec::command(command)).await?;
        let options = AttachOptions { delivery, ..AttachOptions::new(Role::Driver, Size::DEFAULT) };
        let attachment = client.attach(session.id(), options);
        let mut bench = Bench { attachment, received: 0, skipped: 0 };
        loop {
            if let AttachEvent::Attached { .. } = bench.event().await? {
                return Ok(bench);
            }
        }
    }

    async fn event(&mut self) -> Result<AttachEvent> {
        let event = tokio::time::timeout(STEP_TIMEOUT, self.attachment.recv()).await?;
        match &event {
            AttachEvent::Refused(refusal) | AttachEvent::Closed(Some(refusal)) => bail!("{refusal}"),
            AttachEvent::Output { data, .. } => self.received += data.len() as u64,
            AttachEvent::Keyframe { data, skipped, .. } => {
                self.received += data.len() as u64;
                self.skipped += skipped;
            }
            _ => {}
        }
        Ok(event)
    }

    async fn wait_for(&mut self, mut found: impl FnMut(&[u8]) -> bool) -> Result<()> {
        loop {
            if let AttachEvent::Output { data, .. } | AttachEvent::Keyframe { data, .. } = self.event().await?
                && found(&data)
            {
                return Ok(());
            }
        }
    }

    async fn end(self, client: &Client) -> Result<()> {
        client.destroy_session(self.attachment.handle().session()).await?;
        Ok(())
    }
}
