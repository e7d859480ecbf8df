//! Sessions: the active one, all of them, one by id; leaving one and coming back; two clients on one.
//!
//! `cargo run --example sessions -- RELAY MACHINE`

use std::time::Duration;

use fleetmux::client::{Client, Error};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(relay), Some(machine)) = (args.next(), args.next()) else { panic!("usage: sessions RELAY MACHINE") };
    let client = Client::remote(relay).connect().await?;
    let terminal = client.terminal();
    let session = terminal.get_active_session(machine.as_str()).await?;
    println!("Session ID: {}", session.session_id);
    println!("Status: {}", session.status);
    println!("Machine: {}", session.machine_hostname);
    println!("Created: {}", session.created_at.elapsed().is_ok());
    for session in terminal.list_sessions().await? {
        println!("{}: {}", session.machine_hostname, session.name);
    }

    // Client A starts something long and leaves.
    let stream = terminal.stream();
    stream.attach(session.session_id).await?;
    stream.send_input("(read x; echo \"heard $x\")\n").await?;
    stream.close().await;

    // Client B, later, from anywhere: the program still waits.
    let again = terminal.get_active_session(machine.as_str()).await?;
    println!("Same session: {}", again.session_id == session.session_id);
    let (stream_a, stream_b) = (terminal.stream(), terminal.stream());
    stream_a.attach(again.session_id).await?;
    stream_b.attach(again.session_id).await?;
    // Both see the same bytes, and both may type.
    stream_b.send_input("from-b\n").await?;
    stream_a.wait_for("heard from-b", PATIENCE).await?;
    stream_b.wait_for("heard from-b", PATIENCE).await?;
    println!("Both heard it");
    stream_a.close().await;
    stream_b.close().await;

    match terminal.get_session("00000000-0000-7000-8000-000000000000").await {
        Err(Error::SessionNotFound(message)) => println!("Not found: {message}"),
        other => println!("Unexpected: {other:?}"),
    }
    client.rename_session(session.session_id, "deploy").await?;
    println!("Renamed: {}", terminal.get_session(session.session_id).await?.name);
    client.destroy_session(session.session_id).await?;
    println!("Ended: {}", matches!(terminal.get_session(session.session_id).await, Err(Error::SessionNotFound(_))));
    Ok(())
}
