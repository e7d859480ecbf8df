//! The cases about files.

use crate::world::{Listen, World};

fn one() -> World {
    World::start(Listen::Plain, &["web-one"])
}

cases! { node in one =>
    n_fil_01: "N-FIL-01", n_fil_02: "N-FIL-02", n_fil_03: "N-FIL-03", n_fil_04: "N-FIL-04", n_fil_05: "N-FIL-05",
    n_fil_06: "N-FIL-06", n_fil_07: "N-FIL-07", n_fil_08: "N-FIL-08", n_fil_09: "N-FIL-09",
}

cases! { python in one =>
    fil_01: "FIL-01", fil_02: "FIL-02", fil_03: "FIL-03", fil_04: "FIL-04", fil_05: "FIL-05", fil_06: "FIL-06",
    fil_07: "FIL-07", fil_08: "FIL-08", fil_09: "FIL-09", fil_10: "FIL-10", fil_11: "FIL-11", fil_12: "FIL-12",
    fil_13: "FIL-13", fil_14: "FIL-14", fil_15: "FIL-15", fil_16: "FIL-16", fil_17: "FIL-17", fil_18: "FIL-18",
    fil_19: "FIL-19",
}
