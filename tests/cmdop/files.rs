//! The cases about files.
