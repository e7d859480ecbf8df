//! Named patterns over the output, each with its callback and its count.
//!
//! `cargo run --example patterns -- RELAY MACHINE`

use std::time::Duration;

use fleetmux::client::{Client, Error, Pattern};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(relay), Some(machine)) = (args.next(), args.next()) else { panic!("usage: patterns RELAY MACHINE") };
    let client = Client::remote(relay).connect().await?;
    let session = client.terminal().get_active_session(machine.as_str()).await?;
    let stream = client.terminal().stream();
    for (name, text) in
        [("error", "^(ERROR|FATAL)|Exception"), ("warning", "^WARN"), ("success", "^(SUCCESS|COMPLETE|DONE)")]
    {
        let pattern = Pattern::regex(text).map_err(|err| Error::Invalid(err.to_string()))?;
        // Told once per line, whatever its colours and however it was cut on the way.
        stream.on_pattern(name, pattern, |hit| println!("{}: {}", hit.name, hit.text));
    }
    stream.attach(session.session_id).await?;
    // Wide enough for the typed line to stay one.
    stream.resize(24, 240).await?;
    let script =
        "printf '\\033[31mERROR\\033[0m disk full\\nWARNING: slow\\nfine\\nFATAL ERROR\\nDONE\\n'; echo th\"e end\"\n";
    stream.send_input(script).await?;
    stream.wait_for("the end\r\n", Duration::from_secs(30)).await?;
    stream.close().await;
    let counts = ["error", "warning", "success"].map(|name| stream.pattern_count(name));
    println!("counts: {counts:?}");
    Ok(())
}
