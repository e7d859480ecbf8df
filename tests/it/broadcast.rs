//! Input to many sessions at once.

use fleetmux::fleet::Size;

use crate::support::{Fleet, Pane, driver, sh};

#[tokio::test]
async fn each_of_64_sessions_gets_every_broadcast_byte_in_order() {
    let fleet = Fleet::start(&["web-1", "web-2"]);
    let client = fleet.client();
    let lines = 40;
    let mut panes = Vec::new();
    for index in 0..64 {
        let out = fleet.dir.path().join(format!("received-{index}"));
        let script =
            format!("stty raw -echo; echo ready; head -c {} > {}; echo all-received", 64 * lines, out.display());
        let machine = if index % 2 == 0 { "web-1" } else { "web-2" };
        let session = fleet.session(&client, machine, sh(&script)).await;
        panes.push((Pane::attach(&client, &session, driver(Size::DEFAULT)), out));
    }
    for (pane, _) in &mut panes {
        pane.until_text("ready").await;
    }
    let mut sent = String::new();
    for line in 0..lines {
        let text = format!("{line:04} {}\n", "x".repeat(58));
        sent += &text;
        // Byte by byte at the start, as keys; then whole lines, as pastes.
        let pieces: Vec<&str> = if line < 2 { text.split_inclusive(|_: char| true).collect() } else { vec![&text] };
        for piece in pieces {
            panes.iter().for_each(|(pane, _)| pane.type_text(piece));
        }
    }
    for (pane, out) in &mut panes {
        pane.until_text("all-received").await;
        assert!(std::fs::read_to_string(&*out).unwrap() == sent, "every byte, in order");
    }
}
