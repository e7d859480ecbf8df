//! The facts of the seeds and the test of each: `docs/seeds.md` is made of this table, and every test that it names exists.
//! `FLEETMUX_REGENERATE=1 cargo test --test it facts` writes it anew.

use std::fs;
use std::path::Path;

/// Seed, fact, test.
const FACTS: &[(&str, &str, &str)] = &[
    (
        "000",
        "`terminal.execute(\"ls -la\")` gives what was printed on both streams, in its order, and the exit code",
        "seed_000_execute_returns_both_streams_as_one_text_in_its_order",
    ),
    (
        "000",
        "`set_machine(\"my-server\")`: by name, in any case, or by id; in a fleet of one it can be left out",
        "seed_000_execute_returns_both_streams_as_one_text_in_its_order",
    ),
    (
        "000",
        "execute options `timeout` (30 s by default), `cwd`, `env`, `shell`",
        "seed_000_execute_returns_both_streams_as_one_text_in_its_order",
    ),
    (
        "000",
        "a command that outlives its timeout is a timeout error, and is ended with all its processes",
        "a_timeout_ends_the_whole_group_even_one_that_ignores_sigterm",
    ),
    ("000", "`get_active_session`, `stream()`, `on_output`, `attach(session_id)`, `send_input`", "stream"),
    (
        "000",
        "keys as raw bytes: `\\x03`, `\\t`, `\\x1b[A`",
        "seed_001_every_row_of_the_key_table_reaches_the_program_as_written",
    ),
    ("000", "`resize(rows, cols)` reaches the program as SIGWINCH", "interactive"),
    ("000", "`send_signal(\"SIGINT\" | \"SIGTERM\" | \"SIGKILL\")`", "interactive"),
    ("000", "`close()` detaches and ends nothing", "connect_makes_the_active_session_and_the_next_one_joins_it"),
    ("000", "events: output, disconnect, reconnect, error", "a_stream_reconnects_and_has_every_byte_once"),
    ("000", "`stream(mode=\"observer\")` sees everything, and `send_input` is a permission error", "observer"),
    ("000", "the same at the SDKs' service: typing ends an observer's stream with PERMISSION_DENIED", "obs_03"),
    ("000", "a key that may drive observes at the SDKs' service with `observe:` before the session's id", "obs_05"),
    (
        "000",
        "session properties: id, status, machine, workspace, created, connected, heartbeat, clients",
        "a_session_s_properties_follow_its_life",
    ),
    ("000", "`list_sessions` and `get_session(session_id)`", "sessions"),
    (
        "000",
        "several clients on one session get the same bytes, and all drivers type",
        "each_of_64_sessions_gets_every_broadcast_byte_in_order",
    ),
    ("000", "a prompt or a pattern is waited for, with a timeout", "wait_for"),
    (
        "000",
        "`ccat main.py`, `ccat config.yaml`, `ccat -n main.go`, `ccat -t dracula app.js`",
        "seed_000_ccat_has_the_languages_themes_and_flags",
    ),
    (
        "000",
        "`ccat -l python`, `--list-languages` (285 and more), `--list-themes` (70 and more), monokai by default",
        "seed_000_ccat_has_the_languages_themes_and_flags",
    ),
    ("000", "every language colours its own sample file", "every_language_colours_its_sample"),
    ("000", "`NO_COLOR=1 ccat file.py` and a pipe get plain text", "into_a_pipe_everything_goes_as_it_is"),
    ("000", "`ccat` is found inside a session", "seed_000_ccat_is_found_inside_a_session"),
    ("000", "`cd /app && npm install` runs in one shell; each execute in one of its own", "execute"),
    (
        "000",
        "no session, no permission and timeout are errors of their own",
        "seed_000_errors_tell_no_session_no_permission_and_timeout_apart",
    ),
    (
        "001",
        "every row of the key table reaches the program as written",
        "seed_001_every_row_of_the_key_table_reaches_the_program_as_written",
    ),
    ("001", "a full terminal with keyboard input", "keyboard"),
    ("001", "vim, less, htop and a debugger's prompt look as they should", "vim_looks_the_same"),
    (
        "001",
        "a session lives on when its client goes, and another continues where the output is",
        "a_stream_survives_the_killed_client",
    ),
    ("001", "logs are watched as an observer, and patterns found in them", "patterns"),
    ("001", "two share a session by its id", "sessions"),
    ("002", "remote client: `api_key`, `timeout` 30, `max_retries` 3, `retry_delay` 1", "connection"),
    (
        "002",
        "a request is repeated only while it cannot have run: a command never runs twice",
        "a_command_never_runs_twice_wherever_the_connection_is_cut",
    ),
    (
        "002",
        "typed bytes count once, wherever the connection is cut",
        "typed_bytes_count_once_wherever_the_connection_is_cut",
    ),
    ("002", "local client: host, port 50051, `tls=False`", "a_local_relay_is_a_socket_or_a_port_with_tls_or_without"),
    ("002", "`set_machine` switches mid-way, by host name or machine id", "connection"),
    ("002", "keys from an argument or from `CMDOP_API_KEY`", "without_configuration_everything_local_works_as_before"),
    (
        "002",
        "handlers for connect, disconnect and error, which may wait",
        "seed_002_handlers_of_the_connection_may_wait",
    ),
    (
        "002",
        "automatic reconnect: 1 s, doubling to 30 s, 10 attempts",
        "a_client_gives_up_when_told_to_and_comes_back_on_request",
    ),
    ("002", "several workspaces at once, each by its key", "a_key_of_one_workspace_never_sees_a_name_of_another"),
    ("002", "a timeout of one call beside the client's own", "connection"),
    (
        "002",
        "`debug=True` tells requests, answers and states, and nothing of what was typed or asked with",
        "seed_002_debug_tells_requests_and_states_and_no_payload",
    ),
    ("002", "`is_connected`, `connection_info.server`, `.latency_ms`", "connection"),
    ("002", "`files.list(\"/var/log\")` on the selected machine", "files"),
    ("003", "output handlers that wait, and buffered ones with a flush interval", "buffered"),
    (
        "003",
        "a full queue preserves the oldest output and drops the newest, and says how much",
        "seed_003_a_full_queue_preserves_the_oldest_and_drops_the_newest",
    ),
    ("003", "many machines at once, each line with its host", "multi_machine"),
    ("003", "idle sessions are noticed", "idle"),
    ("003", "output goes to a log of its host", "logging"),
    (
        "004",
        "`connect HOST`: host name, display name or the beginning of an id",
        "an_ambiguous_id_lists_the_candidates_and_connect_lists_machines_with_sessions",
    ),
    (
        "004",
        "`Connected to HOST` and `Session: ID` stay on the screen, the id in its short form",
        "seed_004_connect_says_where_and_which_session_and_it_stays_there",
    ),
    (
        "004",
        "every command that takes a session takes that form",
        "seed_004_connect_says_where_and_which_session_and_it_stays_there",
    ),
    (
        "004",
        "two `connect HOST` join the same session and see each other's keystrokes",
        "seed_004_connect_says_where_and_which_session_and_it_stays_there",
    ),
    (
        "004",
        "`connect HOST` joins the session that was made in the wall",
        "seed_004_connect_joins_the_session_that_was_made_in_the_wall",
    ),
    (
        "004",
        "Ctrl+D detaches; Ctrl+C, Ctrl+Z and Ctrl+\\ reach the program",
        "control_keys_reach_the_program_and_another_key_detaches",
    ),
    (
        "004",
        "`exec HOST \"cmd\" --timeout 300`, exit code mirrored; `connect exec`",
        "seed_004_exec_takes_its_flags_behind_the_quoted_command",
    ),
    (
        "004",
        "`exec HOST \"cmd\" --json`: hostname, command, exit_code, output, duration_ms",
        "seed_004_exec_json_has_hostname_command_exit_code_output_and_duration",
    ),
    ("004", "`--env DEBUG=1 --env API_KEY=xxx`", "seed_004_exec_env_is_given_once_or_more"),
    (
        "004",
        "`exec HOST cmd arg --flag` and `exec HOST -- cmd` pass everything on",
        "seed_004_what_follows_a_second_word_belongs_to_the_command",
    ),
    (
        "004",
        "`session list`, `session destroy ID`; `session attach ID` prints metadata and marks attached",
        "seed_004_session_attach_prints_metadata_and_marks_attached",
    ),
    ("004", "sessions live across restarts of the agent", "a_stream_survives_the_killed_agent"),
    (
        "004",
        "`connect HOST --observe`; the driver sees a banner, and can ask for it again",
        "seed_004_the_driver_sees_a_banner_about_observers_and_can_ask_again",
    ),
    ("004", "`machines`, `agent start`", "machines_are_listed_watched_and_told_as_json"),
    ("004", "`logs -f`", "logs_follow_a_real_agent"),
    ("004", "`permissions list` on the host", "permissions_are_shown_changed_and_tried"),
    (
        "004",
        "`permissions list HOST` from afar: the rules that are about whoever asks",
        "seed_004_permissions_list_tells_from_afar_what_is_about_whoever_asks",
    ),
    (
        "004",
        "`connect --list`, `--workspace NAME`",
        "an_ambiguous_id_lists_the_candidates_and_connect_lists_machines_with_sessions",
    ),
    (
        "004",
        "a timeout asks whether the machine is online, a denial names its rules",
        "what_cannot_be_connected_to_says_what_to_do",
    ),
    (
        "004",
        "an id means its machine or session, however another one is called",
        "seed_004_no_name_stands_for_another_ones_id",
    ),
    (
        "ours",
        "`exec --keep` is a session, which outlives its caller",
        "seed_004_exec_keep_is_a_session_that_outlives_its_caller",
    ),
    (
        "ours",
        "`exec --retry-failed` runs the last command where it failed",
        "seed_004_exec_retry_failed_runs_it_where_it_failed",
    ),
];

fn page() -> String {
    let mut page = String::from(
        "# What was asked for, and the test of it\n\n\
         The product was asked for with five documents (000 terminal service, 001 interactive sessions, 002 connection, 003 \
         streaming, 004 command line) of a system called cmdop; `fleetmux` stands for `cmdop` in what is typed. This page is made \
         of the table in `tests/it/facts.rs`.\n\n\
         AI agent runs, sign-in with refreshed tokens and terminals in a browser, which the documents name too, are not built yet.\n\n\
         | document | fact | test |\n|---|---|---|\n",
    );
    for (seed, fact, test) in FACTS {
        page += &format!("| {seed} | {} | `{test}` |\n", fact.replace('|', "\\|"));
    }
    page
}

fn sources(dir: &Path, out: &mut String) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.path() {
            path if path.is_dir() && !path.ends_with("samples") => sources(&path, out),
            path if path.extension().is_some_and(|extension| extension == "rs") => {
                *out += &fs::read_to_string(path).unwrap()
            }
            _ => {}
        }
    }
}

#[test]
fn every_fact_of_the_seeds_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    sources(&root.join("tests"), &mut code);
    sources(&root.join("src"), &mut code);
    for (seed, fact, test) in FACTS {
        let is_there = code.contains(&format!("fn {test}()")) || code.contains(&format!(" {test}: \""));
        assert!(is_there, "{seed}: {fact}: there is no test {test}");
    }
    let own = include_str!("seeds.rs").to_string() + include_str!("highlight.rs");
    for test in own.split("fn seed_").skip(1).map(|rest| format!("seed_{}", rest.split('(').next().unwrap())) {
        assert!(FACTS.iter().any(|fact| fact.2 == test), "{test} is in no row");
    }
    let path = root.join("docs/seeds.md");
    if std::env::var_os("FLEETMUX_REGENERATE").is_some() {
        fs::write(&path, page()).unwrap();
    }
    assert!(
        fs::read_to_string(path).unwrap_or_default() == page(),
        "run FLEETMUX_REGENERATE=1 cargo test --test it facts"
    );
}
