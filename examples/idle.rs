//! A session's health: told when it is idle, a sign of life typed into it.
//!
//! `cargo run --example idle -- RELAY MACHINE`

use std::time::Duration;

use fleetmux::client::{Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(relay), Some(machine)) = (args.next(), args.next()) else { panic!("usage: idle RELAY MACHINE") };
    let client = Client::remote(relay).connect().await?;
    let session = client.terminal().get_active_session(machine.as_str()).await?;
    let stream = client.terminal().stream();
    let input = stream.input();
    // Minutes in real life.
    stream.on_idle(Duration::from_millis(300), move |_idle| {
        println!("Session idle, checking health...");
        let input = input.clone();
        tokio::spawn(async move { input.send_input("echo \"pi\"ng\n").await });
    });
    stream.attach(session.session_id).await?;
    stream.wait_for("ping\r\n", Duration::from_secs(30)).await?;
    println!("It answers; idle for less than a minute: {}", stream.idle_for() < Duration::from_secs(60));
    stream.close().await;
    Ok(())
}
