//! The wall on a relay named by FLEETMUX_RELAY, to look at: until the command line opens it.
#![allow(missing_docs, clippy::unwrap_used)]

use fleetmux::{client, fleet::Endpoint, tui};

fn main() {
    let relay: Endpoint = std::env::var("FLEETMUX_RELAY").unwrap().parse().unwrap();
    let theme = std::env::var("WALL_THEME").unwrap_or_default();
    let options = tui::Options { theme, label: "ada@laptop".into(), shell_if_empty: false, ..Default::default() };
    let done = fleetmux::runtime::block_on(async {
        let client = client::Client::connect(relay, client::Options::default());
        tui::run(client, options).await
    });
    if let Err(error) = done.unwrap() {
        let mut text = error.to_string().into_bytes();
        text.push(b'\n');
        std::io::Write::write_all(&mut std::io::stderr(), &text).unwrap();
        std::process::exit(1);
    }
}
