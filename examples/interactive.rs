//! Special keys, resizing and signals: what an interactive program needs.
//!
//! `cargo run --example interactive -- RELAY MACHINE`; for a terminal with your keyboard there is `fleetmux connect`.

use std::time::Duration;

use fleetmux::client::{Client, Error};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(relay), Some(machine)) = (args.next(), args.next()) else { panic!("usage: interactive RELAY MACHINE") };
    let client = Client::remote(relay).connect().await?;
    let terminal = client.terminal();
    let session = terminal.get_active_session(machine.as_str()).await?;
    let stream = terminal.stream();
    stream.attach(session.session_id).await?;

    // The program sees the new size and gets SIGWINCH.
    stream.resize(30, 100).await?;
    stream.send_input("stty size\n").await?;
    stream.wait_for("30 100", PATIENCE).await?;
    println!("resized");

    // Up arrow: the last command again; any key is its bytes.
    stream.send_input(b"\x1b[A\n").await?;
    stream.wait_for("30 100", PATIENCE).await?;
    println!("repeated");

    // A full-screen program.
    stream.send_input("less /etc/passwd\n").await?;
    stream.wait_for("\x1b[?1049h", PATIENCE).await?;
    stream.send_input("q").await?;
    stream.wait_for("\x1b[?1049l", PATIENCE).await?;
    println!("left the pager");

    // Ctrl+C as a key, and a signal that needs none. Whoever says that it is there is in front itself: between
    // two commands of its own the shell would take the key.
    stream.send_input("sh -c 'echo sleeping; exec sleep 1000'; echo \"status $?\"\n").await?;
    stream.wait_for("sleeping\r\n", PATIENCE).await?;
    stream.send_input(b"\x03").await?;
    stream.send_input("echo \"after $((1 + 1))\"\n").await?;
    stream.wait_for("after 2", PATIENCE).await?;
    println!("interrupted");
    stream.send_input("sh -c 'echo ready; exec sleep 1000'; echo \"status $?\"\n").await?;
    stream.wait_for("ready\r\n", PATIENCE).await?;
    stream.send_signal("SIGTERM").await?;
    stream.wait_for("status 143", PATIENCE).await?;
    println!("terminated");

    // A program in the background, and its process id.
    stream.send_input("sleep 1000 & echo \"pid:$!:\"\n").await?;
    let pid = fleetmux::client::Pattern::regex("pid:[0-9]+:").map_err(|err| Error::Invalid(err.to_string()))?;
    stream.wait_for(pid, PATIENCE).await?;
    stream.send_input("kill %1; exit\n").await?;
    println!("ended: {}", stream.exited().await?);
    Ok(())
}
