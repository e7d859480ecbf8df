//! Several machines at once, each line with its host's name.
//!
//! `cargo run --example multi_machine -- RELAY MACHINE…`

use std::time::Duration;

use fleetmux::client::{Client, Error, Pattern};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let relay = args.next().expect("usage: multi_machine RELAY MACHINE…");
    let client = Client::remote(relay).connect().await?;
    let mut streams = Vec::new();
    for server in args {
        let session = client.terminal().get_active_session(server.as_str()).await?;
        let stream = client.terminal().stream();
        // Every line, without its escape sequences.
        let line = Pattern::regex("^hello from .*").map_err(|err| Error::Invalid(err.to_string()))?;
        stream.on_pattern("line", line, move |hit| println!("[{server}] {}", hit.text));
        stream.attach(session.session_id).await?;
        streams.push(stream);
    }
    for stream in &streams {
        stream.send_input("echo \"hello from $((40 + 2))\"; echo o\"ver\"\n").await?;
    }
    for stream in &streams {
        stream.wait_for("over\r\n", Duration::from_secs(30)).await?;
        stream.close().await;
    }
    Ok(())
}
