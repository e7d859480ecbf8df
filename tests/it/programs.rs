//! W1: a program looks the same in a pane as in a plain terminal of that size.
