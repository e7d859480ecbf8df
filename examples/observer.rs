//! Watching without typing: an observer beside a driver, and an alert on what it sees.
//!
//! `cargo run --example observer -- RELAY MACHINE`

use std::time::Duration;

use fleetmux::client::{Client, Error};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(relay), Some(machine)) = (args.next(), args.next()) else { panic!("usage: observer RELAY MACHINE") };
    let client = Client::remote(relay).connect().await?;
    let terminal = client.terminal();
    let session = terminal.get_active_session(machine.as_str()).await?;
    let (driver, observer) = (terminal.stream(), terminal.observer());

    driver.on_disconnect(|| println!("Disconnected"));
    driver.on_reconnect(|| println!("Reconnected"));
    driver.on_error(|error| println!("Error: {error}"));
    driver.attach(session.session_id).await?;

    driver.resize(24, 240).await?;
    observer.on_pattern("error", "ERROR:", |hit| println!("alert: {}", hit.text));
    observer.attach(session.session_id).await?;
    match observer.send_input("command").await {
        Err(Error::PermissionDenied(message)) => println!("Denied: {message}"),
        other => println!("Unexpected: {other:?}"),
    }
    driver.send_input("clear; printf 'ERROR'; echo ': disk full'; echo o\"ver\"\n").await?;
    observer.wait_for("over\r\n", PATIENCE).await?;
    observer.close().await;
    driver.close().await;
    Ok(())
}
