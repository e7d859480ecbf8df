//! The wall by its keys: what a person types, what is drawn, what is sent. No runtime, no terminal.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

#[path = "tui/support.rs"]
mod support;

use std::time::Duration;

use fleetmux::client::{AttachEvent, ConnectionState};
use fleetmux::fleet::{Code, Exit, MachineId, Refusal, Role, Size};
use fleetmux::tui::effect::Effect;
use fleetmux::tui::input::ACTIONS;
use fleetmux::tui::model::{Link, Overlay};
use fleetmux::tui::msg::Msg;
use support::Wall;

#[test]
fn a_wall_of_two_machines_looks_like_this() {
    let mut wall = Wall::open(100, 16, &[("web-1", &["shell", "logs"]), ("db-1", &["top"])]);
    wall.output(0, "db-1:~# uptime\r\n 10:00 up 3 days\r\n");
    wall.output(1, "web-1:~# ");
    wall.keys("s");
    insta::with_settings!({ snapshot_path => "tui", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("two_machines", wall.screen());
    });
}

#[test]
fn observed_panes_get_nothing_of_what_is_typed() {
    let mut wall = Wall::open(120, 30, &[("web-1", &["shell"])]);
    wall.keys("x-y-z");
    assert_eq!(wall.sent(), "");
    let mut wall = Wall::open(120, 30, &[("web-1", &["shell"])]);
    wall.paste("rm -rf /");
    assert_eq!(wall.sent(), "");
    assert!(wall.screen().contains("take the wheel"), "{}", wall.screen());
}

#[test]
fn keys_typed_while_the_wheel_is_being_granted_are_not_lost() {
    let mut wall = Wall::open(120, 30, &[("web-1", &["shell"])]);
    wall.keys("i l s Enter");
    assert_eq!(wall.sent(), "", "nothing may go out before the keeper granted the role");
    wall.grant();
    assert_eq!(wall.sent(), "1:ls\r");
    assert!(wall.screen().contains("DRIVER"));
}

#[test]
fn a_driven_pane_gets_every_key_but_the_leader_and_that_one_when_pressed_twice() {
    let mut wall = Wall::open(120, 30, &[("web-1", &["shell"])]).driving();
    wall.keys("q ? Tab Ctrl+c Up Ctrl+g Ctrl+g");
    assert_eq!(wall.sent(), "1:q?\t\u{3}\u{1b}[A\u{7}");
    wall.keys("Ctrl+g o");
    assert!(wall.effects().contains(&Effect::SetRole { pane: wall.pane(0), role: Role::Observer }));
}

#[test]
fn a_driver_tells_the_size_of_its_pane_and_an_observer_does_not() {
    let mut wall = Wall::open(120, 30, &[("web-1", &["shell"])]);
    wall.resize(100, 25);
    assert!(!wall.effects().iter().any(|effect| matches!(effect, Effect::Resize { .. })));
    let mut wall = wall.driving();
    wall.effects();
    wall.resize(90, 20);
    assert!(wall.effects().contains(&Effect::Resize { pane: wall.pane(0), size: Size::new(17, 88) }));
}

#[test]
fn a_broadcast_asks_once_takes_the_wheels_and_reaches_every_marked_pane() {
    let mut wall = Wall::open(160, 40, &[("web-1", &["a", "b"]), ("web-2", &["c"])]);
    wall.keys("M b");
    assert!(wall.screen().contains("You take the wheel of 3"), "{}", wall.screen());
    wall.effects();
    wall.keys("Enter");
    // The relay's audit log is told before anything else happens.
    let told = |wall: &Wall| match &wall.effects[0] {
        Effect::Broadcast { sessions } => sessions.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&wall), 3);
    wall.grant();
    assert!(wall.screen().contains("BROADCAST → 3 panes"));
    wall.keys("l s Enter");
    wall.paste("pwd");
    assert_eq!(wall.sent(), "1:ls\rpwd 2:ls\rpwd 3:ls\rpwd");
    wall.effects();
    wall.keys("Ctrl+g b");
    assert_eq!(told(&wall), 0);
    assert!(!wall.screen().contains("BROADCAST"));
}

/// A newcomer marked two panes, pressed `b` and typed on without looking: `h` meant no, `n` opened a new session and
/// the rest of the line ran there as a command.
#[test]
fn whoever_types_on_into_a_question_neither_confirms_nor_reaches_the_keys_below() {
    let mut wall = Wall::open(160, 40, &[("web-1", &["a", "b"])]);
    wall.keys("M b s y s t e m n q x");
    assert!(wall.screen().contains("Broadcast?"), "{}", wall.screen());
    assert_eq!(wall.sent(), "");
    wall.keys("Esc");
    assert!(!wall.screen().contains("BROADCAST →") && !wall.screen().contains("Broadcast?"));
    wall.keys("X Enter");
    assert!(wall.screen().contains("End this session?"), "Enter must not kill: {}", wall.screen());
}

#[test]
fn a_wheel_taken_for_a_broadcast_goes_back_after_it() {
    let mut wall = Wall::open(160, 40, &[("web-1", &["a", "b"])]);
    wall.keys("i");
    wall.grant();
    wall.keys("Ctrl+g M Ctrl+g b Enter");
    wall.grant();
    wall.effects();
    wall.keys("Ctrl+g b");
    let back = |pane| Effect::SetRole { pane, role: Role::Observer };
    let effects = wall.effects();
    assert!(!effects.contains(&back(wall.pane(0))), "this one was driven before");
    assert!(effects.contains(&back(wall.pane(1))));
}

#[test]
fn sessions_named_at_the_start_can_receive_the_first_key_already() {
    let mut wall = Wall::broadcasting(120, 40, &[("web-1", &["shell"]), ("web-2", &["shell"])]);
    wall.effects();
    wall.keys("a");
    let sent = wall.effects().iter().filter(|effect| matches!(effect, Effect::Input { .. })).count();
    assert_eq!(sent, 2);
    assert!(wall.screen().contains("BROADCAST"));
}

#[test]
fn keys_of_a_broadcast_are_encoded_for_each_panes_own_modes() {
    let mut wall = Wall::open(160, 40, &[("web-1", &["a", "b"])]);
    wall.output(1, "\x1b[?1h");
    wall.keys("M b Enter");
    wall.grant();
    wall.keys("Up");
    assert_eq!(wall.sent(), "1:\x1b[A 2:\x1bOA");
}

#[test]
fn a_broadcast_ends_by_itself_when_its_last_program_ends() {
    let mut wall = Wall::open(120, 30, &[("web-1", &["a"])]);
    wall.keys("m b Enter");
    wall.grant();
    wall.event(0, AttachEvent::Exited(Exit { code: 1, signal: None, offset: 0 }));
    assert!(wall.screen().contains("exited 1"));
    assert!(!wall.screen().contains("BROADCAST →"));
}

#[test]
fn looking_back_stays_where_it_is_while_output_goes_on() {
    let mut wall = Wall::open(120, 12, &[("web-1", &["log"])]);
    let lines = |from: u32, to: u32| (from..to).map(|n| format!("line {n}\r\n")).collect::<String>();
    wall.output(0, &lines(0, 100));
    wall.keys("k k k");
    let before = wall.screen();
    assert!(before.contains("↑ 3/"), "{before}");
    wall.output(0, &lines(100, 120));
    let text = |screen: &str| screen.lines().filter(|l| l.contains("line ")).map(str::to_string).collect::<Vec<_>>();
    assert_eq!(text(&before), text(&wall.screen()));
    wall.keys("q");
    assert!(wall.screen().contains("line 119"));
    wall.keys("g");
    assert!(wall.screen().contains("line 0 "), "{}", wall.screen());
}

#[test]
fn whoever_looks_back_over_skipped_output_gets_it_from_the_keeper() {
    let mut wall = Wall::open(120, 30, &[("web-1", &["log"])]);
    wall.event(0, AttachEvent::Keyframe { offset: 9, skipped: 1_200_000, size: Size::DEFAULT, data: "now".into() });
    assert!(wall.screen().contains("skipped 1.2 MB"));
    wall.effects();
    wall.keys("u u");
    let refreshes = wall.effects().iter().filter(|effect| matches!(effect, Effect::Refresh { .. })).count();
    assert_eq!(refreshes, 1);
}

#[test]
fn an_ended_program_is_kept_until_closed_and_enter_runs_it_again() {
    let mut wall = Wall::open(120, 30, &[("web-1", &["build"])]);
    wall.output(0, "linker failed");
    wall.event(0, AttachEvent::Exited(Exit { code: 2, signal: None, offset: 13 }));
    let screen = wall.screen();
    assert!(
        screen.contains("linker failed") && screen.contains("exited 2") && screen.contains("runs it again"),
        "{screen}"
    );
    wall.effects();
    wall.keys("Enter");
    let effects = wall.effects();
    let [Effect::Create { spec, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(spec.command, ["build"]);
}

#[test]
fn killing_asks_and_closing_does_not() {
    let mut wall = Wall::open(120, 30, &[("web-1", &["a", "b"])]);
    wall.effects();
    wall.keys("X n");
    assert!(wall.effects().is_empty());
    wall.keys("X y");
    assert!(wall.effects().iter().any(|effect| matches!(effect, Effect::Destroy { .. })));
    wall.keys("x");
    assert!(matches!(wall.effects().as_slice(), [Effect::Detach { .. }]));
    assert!(wall.screen().contains("No pane is open"));
}

#[test]
fn a_refusal_is_shown_with_the_machine_it_came_from() {
    let mut wall = Wall::open(120, 30, &[("web-1", &["a"])]);
    wall.keys("i");
    wall.event(0, AttachEvent::Refused(Refusal::new(Code::PermissionDenied, "only ops may drive here")));
    assert!(wall.screen().contains("web-1: only ops may drive here"));
    wall.keys("j");
    assert_eq!(wall.sent(), "", "after a refusal keys navigate again");
}

#[test]
fn a_lost_session_says_so_and_comes_back() {
    let mut wall = Wall::open(120, 30, &[("web-1", &["a"])]);
    wall.event(0, AttachEvent::Lost(Refusal::new(Code::Unavailable, "web-1 is offline")));
    assert!(wall.screen().contains("LOST") && wall.screen().contains("web-1 is offline"));
    wall.attached(0, Role::Observer);
    assert_eq!(wall.model.panes[&wall.pane(0)].link, Link::Live);
    assert!(!wall.screen().contains("LOST"));
}

#[test]
fn more_panes_than_fit_make_pages() {
    let names: Vec<String> = (0..12).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut wall = Wall::open(80, 24, &[("web-1", &names)]);
    assert!(wall.screen().contains("page 1/2"), "{}", wall.screen());
    wall.keys(">");
    assert!(wall.screen().contains("page 2/2") && wall.screen().contains("12 web-1 · s11"), "{}", wall.screen());
    wall.keys("Tab Tab Tab Tab Tab Tab");
    assert!(wall.screen().contains("page 1/2"), "the page follows the focus");
}

/// What was typed went to a pane that was on another page by then.
#[test]
fn a_terminal_that_shrinks_shows_the_page_of_the_focused_pane() {
    let names: Vec<String> = (0..12).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut wall = Wall::open(200, 60, &[("web-1", &names)]);
    assert!(!wall.screen().contains("page "), "{}", wall.screen());
    for (steps, (cols, rows)) in [(11, (80, 24)), (1, (60, 14)), (7, (40, 12)), (1, (200, 60)), (4, (80, 24))] {
        wall.keys(vec!["Tab"; steps].join(" ").as_str());
        wall.resize(cols, rows);
        let focused = wall.model.focused_pane().expect("one is focused");
        assert!(focused.rect.is_some(), "{cols}x{rows}: {}", wall.screen());
    }
    wall.keys(">");
    assert!(wall.model.focused_pane().is_some_and(|pane| pane.rect.is_some()), "turning takes the focus along");
}

/// `exit` typed once too often closed the pane, took the wheel of the next one, and typed there.
#[test]
fn what_is_typed_on_after_a_program_has_ended_goes_nowhere() {
    for is_typing in [true, false] {
        let mut wall = Wall::open(120, 24, &[("web-1", &["a"]), ("web-2", &["b"])]);
        wall.attached(1, Role::Driver);
        let exit = Exit { code: 0, signal: None, offset: 0 };
        wall.attached(0, Role::Driver);
        wall.keys("e x i t Enter");
        wall.event(0, AttachEvent::Exited(exit));
        wall.effects();
        if !is_typing {
            wall.wait(5_000);
        }
        wall.keys("e x i t Enter");
        let effects = wall.effects();
        let is_harmless = |effect: &Effect| !matches!(effect, Effect::Input { .. } | Effect::SetRole { .. });
        assert!(effects.iter().all(is_harmless), "{effects:?}");
        wall.wait(1_000);
        wall.keys("y");
        assert!(
            wall.model.order.len() == 1 || is_typing,
            "whoever had paused closed the pane with x: {}",
            wall.screen()
        );
    }
}

/// A machine that hung looked healthy until its link was given up.
#[test]
fn a_machine_that_answers_nothing_says_so_until_it_does() {
    let mut wall = Wall::open(160, 24, &[("web-1", &["a"]), ("web-2", &["b"])]);
    wall.event(0, AttachEvent::Unanswered(Duration::from_secs(3)));
    let screen = wall.screen();
    assert!(screen.contains("no answer 3 s") && screen.contains("◐ web-1") && screen.contains("● web-2"), "{screen}");
    let mut cast = Wall::broadcasting(80, 24, &[("web-1", &["a"])]);
    cast.event(0, AttachEvent::Unanswered(Duration::from_secs(3)));
    assert!(cast.screen().contains("no answer") && cast.screen().contains("1 without an answer"), "{}", cast.screen());
    wall.event(0, AttachEvent::Latency(300));
    assert!(!wall.screen().contains("no answer") && wall.screen().contains("● web-1"), "{}", wall.screen());
    let silent = ConnectionState::Connected {
        server: "relay".into(),
        latency_us: Some(300),
        unanswered: Some(Duration::from_secs(6)),
    };
    wall.take(Msg::Connection(silent));
    let screen = wall.screen();
    assert!(screen.contains("relay: no answer 6 s") && !screen.contains("●"), "nothing is known of anybody: {screen}");
}

/// Two sessions of a machine with a long name had the same title.
#[test]
fn a_long_name_of_a_machine_leaves_room_for_the_sessions() {
    let mut wall = Wall::open(80, 24, &[("ip-10-17-203-41.eu-central-1.compute.internal", &["deploy", "logs"])]);
    let screen = wall.screen();
    assert!(screen.contains("· deploy") && screen.contains("· logs"), "{screen}");
    assert!(screen.contains("internal ·") && screen.contains("1 ip-10"), "both its ends are there: {screen}");
}

#[test]
fn help_names_every_action() {
    let mut wall = Wall::open(80, 24, &[("web-1", &["a"])]);
    wall.keys("?");
    let mut seen = wall.screen();
    for _ in 0..30 {
        wall.keys("j j j");
        seen.push_str(&wall.screen());
    }
    for info in ACTIONS.iter().filter(|info| !info.hint.is_empty()) {
        assert!(seen.contains(info.doc), "{} is missing or clipped", info.name);
    }
}

#[test]
fn a_new_session_needs_a_machine_and_maybe_a_command() {
    let mut wall = Wall::open(100, 30, &[("web-1", &["a"]), ("db-1", &[])]);
    wall.effects();
    wall.keys("c d b Enter h t o p Enter");
    let effects = wall.effects();
    let [Effect::Create { machine, spec }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(wall.machine_name(*machine), "db-1");
    assert_eq!(spec.command, ["htop"]);
    assert!(wall.model.overlays.is_empty());
}

#[test]
fn the_sidebar_filters_and_opens() {
    let mut wall = Wall::open(140, 30, &[("web-1", &["shell"]), ("db-1", &["psql"])]);
    wall.keys("x x s / p s q Enter j");
    let screen = wall.screen();
    assert!(screen.contains("psql") && !screen.contains("web-1"), "{screen}");
    wall.effects();
    wall.keys("Enter");
    assert!(wall.effects().iter().any(|effect| matches!(effect, Effect::Attach { .. })));
}

#[test]
fn a_fleet_without_sessions_gets_a_shell_at_once() {
    let mut wall = Wall::open(120, 30, &[("here", &[])]);
    assert!(matches!(wall.effects().as_slice(), [Effect::Create { .. }]));
}

#[test]
fn a_tiny_terminal_gets_a_sentence() {
    let mut wall = Wall::open(30, 8, &[("web-1", &["a"])]);
    assert!(wall.screen().contains("fleetmux needs 40x10"), "{}", wall.screen());
    wall.resize(80, 24);
    assert!(wall.screen().contains("web-1 · a"));
}

#[test]
fn every_size_and_state_draws_without_a_panic() {
    for (cols, rows) in [(2, 1), (40, 10), (41, 11), (80, 24), (109, 30), (400, 100)] {
        let mut wall = Wall::open(cols, rows, &[("web-1", &["a", "b", "c"]), ("db-1", &["漢字漢字漢字"])]);
        wall.output(0, "\x1b[1;80H漢字\r\n\x1b[31mred");
        for keys in
            ["?", "Esc", "s", "/", "Esc", "Esc", "c", "Esc", "p", "Esc", "M b", "y", "Ctrl+g z", "Ctrl+g S", "Ctrl+g t"]
        {
            wall.keys(keys);
            wall.grant();
            wall.screen();
        }
        for (cols, rows) in [(1, 1), (120, 40), (39, 9), (60, 12)] {
            wall.resize(cols, rows);
            wall.screen();
        }
    }
}

#[test]
fn a_hostile_name_cannot_draw_outside_of_its_place() {
    let mut wall = Wall::open(120, 30, &[("web\u{1b}[2J\u{7}", &["a\nb\u{202e}"])]);
    assert!(!wall.screen().contains('\u{1b}'));
    wall.keys("?");
    assert!(matches!(wall.model.overlays.last(), Some(Overlay::Help { .. })));
}

/// A host that was made anew is another machine with the sessions of before: the pane of one was called after nothing, `?`.
#[test]
fn a_pane_goes_along_with_its_session_and_knows_the_name_of_a_machine_that_was_removed() {
    let mut wall = Wall::open(120, 30, &[("web-1", &["shell"]), ("db-1", &["top"])]);
    let find = |wall: &Wall, name: &str| {
        wall.model.fleet.machines().iter().find(|machine| machine.facts.name == name).unwrap().clone()
    };
    let (old, gone) = (find(&wall, "web-1"), find(&wall, "db-1"));
    let mut session = wall.model.fleet.sessions_of(old.facts.id).next().unwrap().clone();
    let mut new = old.clone();
    new.facts.id = MachineId::random();
    new.facts.name = "web-9".into();
    session.machine = new.facts.id;
    let id = session.id();
    wall.take(Msg::Machine(new.clone()));
    wall.take(Msg::Session(session));
    wall.take(Msg::MachineRemoved(old.facts.id));
    let pane = wall.model.pane_of(id).unwrap();
    assert_eq!(wall.model.panes[&pane].machine, new.facts.id);
    assert!(wall.model.fleet.session(id).is_some(), "it is no session of the one that went");
    let screen = wall.screen();
    assert!(screen.contains("web-9 · shell") && !screen.contains("web-1"), "{screen}");
    wall.take(Msg::MachineRemoved(gone.facts.id));
    let screen = wall.screen();
    assert!(screen.contains("db-1 was removed from the fleet") && screen.contains("db-1 · "), "{screen}");
}

/// One piece of such output took the wall three seconds, in which it drew nothing and took no key.
#[test]
fn a_pane_whose_output_is_dear_is_fed_in_turns_and_holds_up_nobody() {
    let mut wall = Wall::open(120, 30, &[("web-1", &["a", "b"])]);
    let dear = b"\x1b#8\x1b[2J".repeat(8_000);
    let work = |wall: &Wall| wall.model.panes[&wall.pane(0)].screen.work();
    let before = work(&wall);
    wall.event(0, AttachEvent::Output { offset: 0, data: dear.clone().into() });
    assert!(work(&wall) - before < 1_000_000, "{}", work(&wall) - before);
    wall.output(1, "prompt");
    assert!(wall.screen().contains("prompt"));
    wall.output(0, "\x1b[2J\x1b[Hat last");
    let mut turns = 0;
    while wall.model.lagging().next().is_some() {
        let before = work(&wall);
        wall.take(Msg::Digest);
        assert!(work(&wall) - before < 2_000_000);
        turns += 1;
    }
    assert!(turns > 10 && wall.screen().contains("at last"), "{turns} turns: {}", wall.screen());
    // More than is worth waiting for is not waited for.
    wall.effects();
    (0..30).for_each(|_| wall.event(0, AttachEvent::Output { offset: 0, data: dear.clone().into() }));
    assert!(wall.effects().contains(&Effect::Refresh { pane: wall.pane(0) }));
    assert!(wall.model.lagging().next().is_none());
    wall.output(0, "lost");
    let (size, data) = (Size::new(24, 80), "\x1b[2J\x1b[Hfound".into());
    wall.event(0, AttachEvent::Keyframe { offset: 0, skipped: 5, size, data });
    wall.output(0, " again");
    assert!(wall.screen().contains("found again"), "{}", wall.screen());
}

/// "No machine is online" stayed on the first wall of a healthy fleet.
#[test]
fn a_wall_without_panes_says_why_and_follows_what_it_is_told() {
    let mut wall = Wall::open(100, 20, &[]);
    assert!(wall.screen().contains("No machine has joined yet"), "{}", wall.screen());
    let mut other = Wall::open(100, 20, &[("web-1", &["a"])]);
    let machine = other.model.fleet.machines()[0].clone();
    wall.take(Msg::Machine(fleetmux::fleet::Machine { is_online: false, ..machine.clone() }));
    assert!(wall.screen().contains("No machine is online"), "{}", wall.screen());
    wall.take(Msg::Machine(machine));
    assert!(wall.screen().contains("No pane is open"), "{}", wall.screen());
    assert!(!other.screen().contains("No pane is open"));
}
