//! Faults on demand, for tests of what must survive them; only in debug builds.

/// Panics here if `FLEETMUX_PANIC_AT` names this point.
pub fn may_panic(point: &str) {
    #[cfg(debug_assertions)]
    if std::env::var_os("FLEETMUX_PANIC_AT").is_some_and(|at| at == point) {
        panic!("a test asked for a panic at {point}");
    }
    #[cfg(not(debug_assertions))]
    let _ = point;
}
