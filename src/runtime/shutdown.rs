//! The end of a process, asked for from outside.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when SIGINT, SIGTERM or SIGHUP asks this process to end.
pub async fn ended_by_signal() {
    let listen = |kind| signal(kind).ok();
    let (Some(mut int), Some(mut term), Some(mut hup)) =
        (listen(SignalKind::interrupt()), listen(SignalKind::terminate()), listen(SignalKind::hangup()))
    else {
        tracing::error!("cannot listen for signals; this process ends by SIGKILL only");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
        _ = hup.recv() => {}
    }
}
