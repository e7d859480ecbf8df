//! Output in the program's own log, one target per machine, and the SDK's debug lines with it.
//!
//! `RUST_LOG=terminal=debug cargo run --example logging -- RELAY MACHINE`; the SDK itself speaks as `fleetmux`.

use std::time::Duration;

use fleetmux::client::{Client, Error, Pattern};
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(relay), Some(machine)) = (args.next(), args.next()) else { panic!("usage: logging RELAY MACHINE") };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("debug,h2=warn,hyper_util=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).without_time().init();
    let client = Client::remote(relay).connect().await?;
    let session = client.terminal().get_active_session(machine.as_str()).await?;
    let stream = client.terminal().stream();
    // Whole lines without escape sequences make better log lines than pieces of output.
    stream.on_pattern("line", Pattern::regex(".").map_err(|err| Error::Invalid(err.to_string()))?, move |hit| {
        tracing::debug!(target: "terminal", machine, "{}", hit.text);
    });
    stream.attach(session.session_id).await?;
    stream.send_input("echo \"log\"ged; echo o\"ver\"\n").await?;
    stream.wait_for("over\r\n", Duration::from_secs(30)).await?;
    stream.close().await;
    Ok(())
}
