//! The guard around everything that a program's bytes can reach: a panic in it is caught, and costs no process.
//!
//! Panic hooks ask [`is_guarded`]: a panic that is caught here is nobody's end, so the terminal stays as it is.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is caught here and the program goes on.
pub fn is_guarded() -> bool {
    IS_GUARDED.get()
}

/// Runs with the guard up; `None` if it panicked.
pub(super) fn guarded<T>(run: impl FnOnce() -> T) -> Option<T> {
    let before = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    let is_ours = IS_GUARDED.replace(before);
    match result {
        Ok(value) => Some(value),
        Err(_) if is_ours => None,
        Err(panic) => resume_unwind(panic),
    }
}

/// Runs what a caller gave us within a guarded run: its panics are its own and pass through.
pub(super) fn unguarded<T>(run: impl FnOnce() -> T) -> T {
    let before = IS_GUARDED.replace(false);
    let value = run();
    IS_GUARDED.set(before);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_within_is_caught_and_one_of_the_callers_passes() {
        assert_eq!(guarded(|| -> u8 { panic!("ours, and expected in this test's output") }), None);
        assert!(!is_guarded());
        let theirs = catch_unwind(|| guarded(|| unguarded(|| panic!("the caller's, and expected as well"))));
        assert!(theirs.is_err() && !is_guarded());
        assert_eq!(guarded(|| guarded(is_guarded)), Some(Some(true)));
    }
}
