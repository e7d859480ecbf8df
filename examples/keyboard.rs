//! A person's keyboard on a session: the terminal in raw mode, every key sent as it is typed, Ctrl+C to leave.
//! `fleetmux connect` does this with everything around it.
//!
//! `cargo run --example keyboard -- RELAY MACHINE`

use std::io::{Read, Write};

use fleetmux::client::{Client, Error};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// Leaves; the session lives on.
const CTRL_C: u8 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(relay), Some(machine)) = (args.next(), args.next()) else { panic!("usage: keyboard RELAY MACHINE") };
    let client = Client::remote(relay).connect().await?;
    let session = client.terminal().get_active_session(machine.as_str()).await?;
    let stream = client.terminal().stream();
    // Bytes as they are: the person's terminal renders them.
    stream.on_output(|data| {
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(data).and_then(|()| stdout.flush());
    });

    // Keys come one by one and unechoed, and go back to lines when this is left.
    let failed = |err: rustix::io::Errno| Error::Invalid(format!("standard input is no terminal: {err}"));
    let saved = tcgetattr(rustix::stdio::stdin()).map_err(failed)?;
    let mut raw = saved.clone();
    raw.make_raw();
    tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw).map_err(failed)?;
    let outcome = match stream.attach(session.session_id).await {
        Ok(()) => type_into(&stream).await,
        Err(err) => Err(err),
    };
    let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &saved);
    // Detaches.
    stream.close().await;
    println!("\nleft");
    outcome
}

async fn type_into(stream: &fleetmux::client::TerminalStream) -> Result<(), Error> {
    let (keys_tx, mut keys_rx) = tokio::sync::mpsc::channel(64);
    // Reading a keyboard blocks, so it has a thread of its own.
    std::thread::spawn(move || {
        let mut key = [0];
        while matches!(std::io::stdin().read(&mut key), Ok(1)) && key[0] != CTRL_C {
            if keys_tx.blocking_send(key[0]).is_err() {
                return;
            }
        }
    });
    while let Some(key) = keys_rx.recv().await {
        stream.send_input([key]).await?;
    }
    Ok(())
}
