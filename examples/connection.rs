//! Connecting: options, events, status, machines, and several clients at once.
//!
//! `cargo run --example connection -- RELAY MACHINE ANOTHER-MACHINE`

use std::time::Duration;

use fleetmux::client::{Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [relay, machine, other] = args.as_slice() else { panic!("usage: connection RELAY MACHINE ANOTHER-MACHINE") };
    let client = Client::remote(relay)
        .timeout(Duration::from_secs(30))
        .max_retries(3)
        .retry_delay(Duration::from_secs(1))
        .auto_reconnect(true)
        .reconnect_delay(Duration::from_secs(1))
        .reconnect_max_delay(Duration::from_secs(30))
        .reconnect_max_attempts(10)
        .on_connect(|| println!("Connected"))
        .on_disconnect(|| println!("Disconnected"))
        .on_error(|error| println!("Error: {error}"))
        .connect()
        .await?;

    if !client.is_connected() {
        client.reconnect().await?;
    }
    let info = client.connection_info();
    println!("Server: {}", info.server);
    if let Some(latency) = info.latency_ms {
        println!("Latency: {latency}ms");
    }

    // Selected once, used by all that follows; switched in between.
    let terminal = client.terminal();
    for name in [machine, other] {
        terminal.set_machine(name).await?;
        let session = terminal.get_active_session(None).await?;
        println!("Machine: {} {}", session.machine_hostname, session.status);
    }

    // Errors that a program tells apart.
    match terminal.set_machine("no-such-machine").await {
        Err(Error::MachineNotFound(message)) => println!("Not found: {message}"),
        other => println!("Unexpected: {other:?}"),
    }
    let quick = client.with_timeout(Duration::from_secs(5));
    println!("Sessions: {}", quick.terminal().list_sessions().await?.len());

    // Another client beside it: of another relay or workspace.
    let second = Client::remote(relay).connect().await?;
    println!("Both: {} {}", client.is_connected(), second.is_connected());
    second.close();
    println!("One: {} {}", client.is_connected(), second.is_connected());

    // A name that leads nowhere.
    let refused = Client::remote("unix:/nowhere/relay.sock").timeout(Duration::from_millis(200)).connect().await;
    println!("Refused: {}", matches!(refused, Err(Error::NoRelay(_))));
    Ok(())
}
