//! High-volume output: batches at an interval, and what happens when a handler is slower than a program.
//!
//! `cargo run --example buffered -- RELAY MACHINE`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fleetmux::client::{Buffering, Client, Error, WhenFull};
use fleetmux::fleet::SessionSpec;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(relay), Some(machine)) = (args.next(), args.next()) else { panic!("usage: buffered RELAY MACHINE") };
    let client = Client::remote(relay).connect().await?;
    let terminal = client.terminal();
    for when_full in [WhenFull::Wait, WhenFull::DropOldest, WhenFull::DropNewest] {
        let spec = SessionSpec::command(["sh", "-c", "read x; seq 1 20000"]);
        let session = terminal.create_session(&machine, spec).await?;
        let stream = terminal.stream();
        let total = Arc::new(AtomicU64::new(0));
        let counted = total.clone();
        stream.on_output(move |data| {
            counted.fetch_add(data.len() as u64, Ordering::Relaxed);
        });
        let options = Buffering { capacity: 16 * 1024, flush_interval: Duration::from_millis(20), when_full };
        let stats = stream.on_output_buffered(options, |batch| async move {
            // Slower than the program: what finds no room is counted, never lost silently.
            tokio::time::sleep(Duration::from_millis(10)).await;
            drop(batch.data);
        });
        stream.attach(session.session_id).await?;
        stream.send_input("\n").await?;
        stream.exited().await?;
        drop(stream);
        // The handler's last batch.
        while stats.delivered() + stats.dropped() < total.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let is_all = stats.delivered() + stats.dropped() == total.load(Ordering::Relaxed);
        println!("{when_full:?}: accounted for {is_all}, nothing dropped {}", stats.dropped() == 0);
    }
    Ok(())
}
