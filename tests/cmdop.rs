//! The interop cases of the wire contract: the published Node SDK, unmodified, and Python's gRPC with stubs of our proto
//! where the SDK has no call, against a real relay, agents and keepers. One test per case id.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

#[path = "cmdop/hostile.rs"]
mod hostile;
#[path = "cmdop/readme.rs"]
mod readme;
#[path = "cmdop/world.rs"]
mod world;

use std::process::Command;

use world::{Listen, World};

/// Tests named by their case, each in a world of its own.
macro_rules! cases {
    ($language:ident in $world:expr => $($name:ident: $id:literal),+ $(,)?) => {
        $(#[test]
        fn $name() {
            let world: fn() -> World = $world;
            world().$language($id);
        })+
    };
}

#[path = "cmdop/files.rs"]
mod files;

mod node {
    use super::*;

    cases! { node in || World::start(Listen::Plain, &["web-one"]) =>
        n_auth_01: "N-AUTH-01", n_auth_02: "N-AUTH-02", n_auth_03: "N-AUTH-03", n_auth_04: "N-AUTH-04",
        n_auth_05: "N-AUTH-05", n_net_01: "N-NET-01", n_net_02: "N-NET-02", n_cre_01: "N-CRE-01", n_cre_02: "N-CRE-02",
        n_cre_03: "N-CRE-03", n_cre_04: "N-CRE-04", n_exe_01: "N-EXE-01", n_exe_02: "N-EXE-02", n_exe_03: "N-EXE-03",
        n_exe_04: "N-EXE-04", n_exe_05: "N-EXE-05", n_exe_06: "N-EXE-06", n_exe_07: "N-EXE-07", n_exe_08: "N-EXE-08",
        n_exe_09: "N-EXE-09", n_exe_10: "N-EXE-10", n_exe_11: "N-EXE-11", n_io_01: "N-IO-01", n_io_02: "N-IO-02",
        n_io_03: "N-IO-03", n_io_04: "N-IO-04", n_io_05: "N-IO-05", n_io_06: "N-IO-06", n_io_07: "N-IO-07",
        n_io_08: "N-IO-08", n_att_01: "N-ATT-01", n_att_02: "N-ATT-02", n_att_03: "N-ATT-03", n_att_04: "N-ATT-04",
        n_att_05: "N-ATT-05", n_att_06: "N-ATT-06", n_att_07: "N-ATT-07", n_att_08: "N-ATT-08", n_att_09: "N-ATT-09",
        n_att_10: "N-ATT-10", n_att_11: "N-ATT-11", n_att_12: "N-ATT-12", n_str_01: "N-STR-01", n_str_02: "N-STR-02",
        n_str_03: "N-STR-03", n_pwd_01: "N-PWD-01", n_pwd_02: "N-PWD-02", n_obs_01: "N-OBS-01", n_agt_01: "N-AGT-01",
        n_agt_02: "N-AGT-02", n_skl_01: "N-SKL-01", n_ses_11: "N-SES-11", n_off_01: "N-OFF-01", n_rel_01: "N-REL-01",
    }

    cases! { node in || World::start(Listen::Plain, &["web-one", "web-two"]) =>
        n_ses_01: "N-SES-01", n_ses_02: "N-SES-02", n_ses_03: "N-SES-03", n_ses_04: "N-SES-04", n_ses_05: "N-SES-05",
        n_ses_06: "N-SES-06", n_ses_07: "N-SES-07", n_ses_08: "N-SES-08", n_ses_09: "N-SES-09", n_ses_10: "N-SES-10",
        n_ses_12: "N-SES-12",
    }

    cases! { node in || World::start(Listen::Tls, &["web-one"]) =>
        n_tls_01: "N-TLS-01", n_tls_02: "N-TLS-02", n_tls_04: "N-TLS-04",
    }

    cases! { node in || World::start(Listen::TlsUntrusted, &[]) => n_tls_03: "N-TLS-03" }

    cases! { node in World::local => n_loc_01: "N-LOC-01" }
}

mod python {
    use super::*;

    cases! { python in || World::start(Listen::Plain, &["web-one"]) =>
        auth_01: "AUTH-01", auth_02: "AUTH-02", auth_03: "AUTH-03", auth_04: "AUTH-04", auth_05: "AUTH-05",
        auth_06: "AUTH-06", auth_07: "AUTH-07", auth_08: "AUTH-08", auth_09: "AUTH-09", auth_10: "AUTH-10",
        net_01: "NET-01", net_02: "NET-02", ses_14: "SES-14", ses_15: "SES-15", ses_16: "SES-16", ses_17: "SES-17",
        ses_21: "SES-21", cre_01: "CRE-01", cre_04: "CRE-04", cre_05: "CRE-05", cre_06: "CRE-06", cre_07: "CRE-07",
        exe_01: "EXE-01", exe_02: "EXE-02", exe_03: "EXE-03", exe_04: "EXE-04", exe_05: "EXE-05", exe_06: "EXE-06",
        exe_07: "EXE-07", exe_08: "EXE-08", exe_09: "EXE-09", exe_10: "EXE-10", exe_11: "EXE-11", exe_12: "EXE-12",
        exe_13: "EXE-13", exe_14: "EXE-14", exe_15: "EXE-15", exe_17: "EXE-17", exe_18: "EXE-18", exe_19: "EXE-19",
        exe_20: "EXE-20", exe_21: "EXE-21", exe_22: "EXE-22", out_01: "OUT-01", out_02: "OUT-02", out_03: "OUT-03",
        out_04: "OUT-04", out_05: "OUT-05", out_06: "OUT-06", io_01: "IO-01", io_02: "IO-02", io_03: "IO-03",
        io_04: "IO-04", io_05: "IO-05", io_06: "IO-06", io_07: "IO-07", io_08: "IO-08", io_09: "IO-09",
        io_10: "IO-10", io_11: "IO-11", io_12: "IO-12", io_13: "IO-13", io_14: "IO-14", att_01: "ATT-01",
        att_02: "ATT-02", att_03: "ATT-03", att_04: "ATT-04", att_05: "ATT-05", att_06: "ATT-06", att_07: "ATT-07",
        att_08: "ATT-08", att_09: "ATT-09", att_10: "ATT-10", att_11: "ATT-11", att_12: "ATT-12", att_13: "ATT-13",
        att_14: "ATT-14", att_15: "ATT-15", att_16: "ATT-16", att_17: "ATT-17", att_18: "ATT-18", att_19: "ATT-19",
        att_20: "ATT-20", att_21: "ATT-21", att_22: "ATT-22", att_24: "ATT-24", att_25: "ATT-25", att_26: "ATT-26",
        raw_01: "RAW-01", raw_02: "RAW-02", raw_03: "RAW-03", raw_04: "RAW-04", raw_05: "RAW-05", raw_06: "RAW-06",
        raw_07: "RAW-07", raw_08: "RAW-08", raw_09: "RAW-09", raw_10: "RAW-10", raw_11: "RAW-11", pwd_01: "PWD-01",
        pwd_02: "PWD-02", pwd_03: "PWD-03", obs_01: "OBS-01", obs_02: "OBS-02", obs_03: "OBS-03", obs_04: "OBS-04", obs_05: "OBS-05",
        prm_01: "PRM-01", wsp_01: "WSP-01", aud_01: "AUD-01", agt_01: "AGT-01", agt_02: "AGT-02", skl_01: "SKL-01",
        skl_02: "SKL-02", skl_03: "SKL-03", ext_01: "EXT-01", syn_01: "SYN-01", syn_02: "SYN-02", off_01: "OFF-01",
        rel_01: "REL-01",
    }

    cases! { python in || World::start(Listen::Plain, &["web-one", "web-two"]) =>
        ses_01: "SES-01", ses_02: "SES-02", ses_03: "SES-03", ses_04: "SES-04", ses_05: "SES-05", ses_06: "SES-06",
        ses_07: "SES-07", ses_08: "SES-08", ses_09: "SES-09", ses_10: "SES-10", ses_11: "SES-11", ses_12: "SES-12",
        ses_13: "SES-13", ses_18: "SES-18", ses_19: "SES-19", ses_20: "SES-20", cre_02: "CRE-02", cre_03: "CRE-03",
        cre_08: "CRE-08", cre_09: "CRE-09", exe_16: "EXE-16", att_23: "ATT-23",
    }

    cases! { python in || World::start(Listen::Tls, &["web-one"]) =>
        tls_01: "TLS-01", tls_02: "TLS-02", tls_04: "TLS-04", tls_05: "TLS-05",
    }

    cases! { python in || World::start(Listen::TlsUntrusted, &[]) => tls_03: "TLS-03" }

    cases! { python in World::local =>
        loc_01: "LOC-01", loc_02: "LOC-02", loc_03: "LOC-03",
    }
}

/// A case that is written and run by no test would pass for ever.
#[test]
fn every_case_that_is_written_is_run() {
    let own = include_str!("cmdop.rs").to_string() + include_str!("cmdop/files.rs");
    for id in world::written("node").into_iter().chain(world::written("python")) {
        assert!(own.contains(&format!("{id:?}")), "no test runs {id}");
    }
}

/// The contract's list, against the tests that this program has: none of them is missing, and none is skipped.
#[test]
fn every_case_of_the_contract_has_a_test() {
    let tests = |kind: &str| {
        let listed =
            Command::new(std::env::current_exe().unwrap()).args(["--list", "--format", "terse", kind]).output();
        String::from_utf8(listed.unwrap().stdout).unwrap()
    };
    let all = tests("--include-ignored");
    let names: Vec<&str> = all.lines().filter_map(|line| line.strip_suffix(": test")?.rsplit("::").next()).collect();
    let ids = include_str!("cmdop/ids.txt").lines().filter(|line| !line.starts_with('#'));
    let missing: Vec<&str> = ids
        .flat_map(str::split_whitespace)
        .filter(|id| !names.contains(&id.to_lowercase().replace('-', "_").as_str()))
        .collect();
    assert!(missing.is_empty(), "no test runs {missing:?}");
    assert_eq!(tests("--ignored"), "", "a case is skipped");
}
