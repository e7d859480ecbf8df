//! What a program wants to hear of its connection.

use std::sync::{Mutex, PoisonError};

use super::Error;

/// Functions called in the order in which they were added; adding one from within one is fine.
pub(super) struct Hooks<F: ?Sized> {
    list: Mutex<Vec<Box<F>>>,
}

impl<F: ?Sized> Default for Hooks<F> {
    fn default() -> Self {
        Hooks { list: Mutex::new(Vec::new()) }
    }
}

impl<F: ?Sized> Hooks<F> {
    pub(super) fn add(&self, hook: Box<F>) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(hook);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// All of them, taken out for the time of their calls.
    pub(super) fn take(&self) -> Vec<Box<F>> {
        std::mem::take(&mut *self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Back in, before those that were added meanwhile.
    pub(super) fn put_back(&self, mut hooks: Vec<Box<F>>) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        hooks.append(&mut list);
        *list = hooks;
    }

    pub(super) fn each(&self, mut call: impl FnMut(&mut F)) {
        if self.is_empty() {
            return;
        }
        let mut hooks = self.take();
        hooks.iter_mut().for_each(|hook| call(hook));
        self.put_back(hooks);
    }
}

/// Hooks of a connection.
#[derive(Default)]
pub(super) struct ConnectionHooks {
    pub(super) connect: Hooks<dyn FnMut() + Send>,
    pub(super) disconnect: Hooks<dyn FnMut() + Send>,
    pub(super) error: Hooks<dyn FnMut(&Error) + Send>,
}

impl ConnectionHooks {
    /// Each call's future runs beside the connection, which waits for none.
    pub(super) fn add_connect_async<F>(&self, mut hook: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.connect.add(Box::new(move || drop(tokio::spawn(hook()))));
    }

    pub(super) fn add_disconnect_async<F>(&self, mut hook: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.disconnect.add(Box::new(move || drop(tokio::spawn(hook()))));
    }

    pub(super) fn add_error_async<F>(&self, mut hook: impl FnMut(Error) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.error.add(Box::new(move |error| drop(tokio::spawn(hook(error.clone())))));
    }
}
