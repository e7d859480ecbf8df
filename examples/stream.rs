//! Streams a terminal: output as it comes, a command typed into it, all output collected.
//!
//! `cargo run --example stream -- RELAY MACHINE`

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetmux::client::{Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(relay), Some(machine)) = (args.next(), args.next()) else { panic!("usage: stream RELAY MACHINE") };
    let client = Client::remote(relay).connect().await?;
    let session = client.terminal().get_active_session(machine.as_str()).await?;
    let stream = client.terminal().stream();

    // Each piece of output, at once: flushed, so that a prompt shows.
    stream.on_output(|data| {
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(data).and_then(|()| stdout.flush());
    });
    // The same output collected into a buffer.
    let buffer = Arc::new(Mutex::new(Vec::new()));
    let collected = buffer.clone();
    stream.on_output(move |data| {
        if let Ok(mut buffer) = collected.lock() {
            buffer.extend_from_slice(data);
        }
    });
    // For handlers that wait for something: a database, a socket.
    stream.on_output_async(|data| async move {
        tokio::task::yield_now().await;
        drop(data);
    });

    stream.attach(session.session_id).await?;
    stream.send_input("echo \"sum $((6 * 7))\"\n").await?;
    stream.wait_for("sum 42", Duration::from_secs(30)).await?;
    // Detaches: the session and its programs live on.
    stream.close().await;
    let collected = buffer.lock().map(|buffer| buffer.len()).unwrap_or_default();
    println!("\ncollected {}", if collected > 0 { "all of it" } else { "nothing" });
    Ok(())
}
