//! One-shot commands: output and exit code, options, one after another and chained, and what can go wrong.
//!
//! `cargo run --example execute -- RELAY MACHINE`

use std::time::Duration;

use fleetmux::client::{Client, Error, ExecOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(relay), Some(machine)) = (args.next(), args.next()) else { panic!("usage: execute RELAY MACHINE") };
    let client = Client::remote(relay).connect().await?;
    let terminal = client.terminal();
    terminal.set_machine(&machine).await?;

    let (output, code) = terminal.execute("echo hello").await?;
    println!("Output: {}\nExit code: {code}", output.trim_end());

    let options = ExecOptions {
        timeout: Some(Duration::from_secs(300)),
        cwd: "/usr".into(),
        env: [("KEY".to_string(), "value".to_string())].into(),
        shell: "/bin/bash".into(),
        ..ExecOptions::shell("echo \"$KEY in $PWD\" by ${BASH_VERSION:+bash}")
    };
    println!("Options: {}", terminal.execute_with(options).await?.0.trim_end());

    // Each command has a shell of its own; chained ones share theirs, and stop at the first that fails.
    terminal.execute("cd /usr").await?;
    println!("Apart: {}", terminal.execute("[ \"$PWD\" = /usr ] && echo moved || echo at home").await?.0.trim_end());
    let (output, code) = terminal.execute("cd /usr && pwd && false && echo never").await?;
    println!("Chained: {} {code}", output.trim_end());

    // No shell, so nothing to quote; and the two outputs apart.
    if let Some(machine) = terminal.machine() {
        let output = client.run(machine, ExecOptions::argv(["printf", "%s", "a b;$HOME"])).await?;
        println!("Argv: {}", String::from_utf8_lossy(&output.stdout));
    }

    let (output, code) = terminal.execute("echo broken >&2; exit 7").await?;
    if code != 0 {
        println!("Failed with {code}: {}", output.trim_end());
    }
    let hasty = ExecOptions { timeout: Some(Duration::from_millis(100)), ..ExecOptions::shell("sleep 1000") };
    match terminal.execute_with(hasty).await {
        Err(Error::Timeout(message)) => println!("Timeout: {message}"),
        other => println!("Unexpected: {other:?}"),
    }
    match terminal.set_machine("no-such-machine").await {
        Err(Error::MachineNotFound(message)) => println!("Not found: {message}"),
        other => println!("Unexpected: {other:?}"),
    }
    Ok(())
}
