//! The session as a specification: frames in, effects out, no runtime.

use bytes::Bytes;

use super::*;
use crate::stream::{Attach, Delivery, KeyframeKind};

const LINK: LinkId = 1;

struct Bench {
    core: Core,
    now: u64,
}

fn attach(role: Role) -> Attach {
    Attach { label: "ada@laptop".into(), ..Attach::new(role) }
}

impl Bench {
    fn new() -> Bench {
        let mut core = Core::new(&SessionSpec::shell(), 0);
        core.link_opened(LINK);
        Bench { core, now: 1_000_000 }
    }

    fn up(&mut self, client: ClientId, up: Up) -> Vec<Down> {
        self.core.frame(LINK, Some(client), up, self.now);
        self.downs(client)
    }

    /// Frames for one client or for all, in order.
    fn downs(&mut self, client: ClientId) -> Vec<Down> {
        let mine = |effect| match effect {
            Effect::Send { client: to, down, .. } if to.is_none() || to == Some(client) => Some(down),
            _ => None,
        };
        self.core.take_effects().into_iter().filter_map(mine).filter(|down| !matches!(down, Down::Summary(_))).collect()
    }

    fn output(&mut self, client: ClientId, data: &[u8]) -> Vec<Down> {
        self.core.output(Bytes::copy_from_slice(data), self.now);
        self.downs(client)
    }
}

#[test]
fn attaching_gives_keyframe_and_subscription_in_one_turn() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    bench.core.output(Bytes::from_static(b"before"), 0);
    let downs = bench.up(id, Up::Attach(attach(Role::Observer)));
    assert!(matches!(downs[0], Down::Attached { offset: 6, skipped: 0, .. }), "{downs:?}");
    assert!(matches!(&downs[1], Down::Keyframe { offset: 6, .. }), "{downs:?}");
    let downs = bench.output(id, b"after");
    assert_eq!(downs, [Down::Output { offset: 6, data: Bytes::from_static(b"after") }]);
}

#[test]
fn a_client_that_returns_gets_exactly_the_bytes_from_its_offset() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    bench.up(id, Up::Attach(attach(Role::Observer)));
    bench.output(id, b"0123");
    bench.core.link_closed(LINK, 0);
    bench.core.output(Bytes::from_static(b"456789"), 0);
    bench.core.take_effects();
    let downs = bench.up(id, Up::Attach(Attach { from_offset: Some(2), ..attach(Role::Observer) }));
    assert!(matches!(downs[0], Down::Attached { offset: 2, skipped: 0, .. }), "{downs:?}");
    assert_eq!(downs[1], Down::Output { offset: 2, data: Bytes::from_static(b"23456789") });
}

#[test]
fn an_observer_may_neither_type_nor_resize_nor_signal_nor_close() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    bench.up(id, Up::Attach(attach(Role::Observer)));
    let frames =
        [Up::Input { offset: 0, data: Bytes::from_static(b"x") }, Up::Resize(Size::MIN), Up::Signal(9), Up::Close];
    for up in frames {
        let kind = up.kind();
        let downs = bench.up(id, up);
        assert!(
            matches!(&downs[..], [Down::Refused { refusal, frame }] if refusal.code == Code::PermissionDenied && frame == kind),
            "{downs:?}"
        );
    }
    assert!(bench.core.pending_input().is_none());
}

/// Keys typed on a lost link, whose driver gave the wheel back meanwhile, were refused when it came back; and no key of that
/// client was taken ever after, though it drove again.
#[test]
fn after_input_that_was_refused_the_next_is_taken() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    let input = |offset, data: &'static [u8]| Up::Input { offset, data: Bytes::from_static(data) };
    bench.up(id, Up::Attach(attach(Role::Observer)));
    assert!(matches!(&bench.up(id, input(0, b"lost"))[..], [Down::Refused { .. }]));
    assert!(matches!(&bench.up(id, input(99, b"a gap"))[..], [Down::Refused { .. }]));
    bench.up(id, Up::SetRole(Role::Driver));
    bench.up(id, input(4, b"ls"));
    assert_eq!(bench.core.pending_input(), Some(&Bytes::from_static(b"ls")));
}

#[test]
fn a_client_nobody_attached_is_refused() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    let downs = bench.up(id, Up::Input { offset: 0, data: Bytes::from_static(b"x") });
    assert!(matches!(&downs[..], [Down::Refused { refusal, .. }] if refusal.code == Code::NotFound), "{downs:?}");
}

#[test]
fn input_is_taken_once_and_acknowledged() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    bench.up(id, Up::Attach(attach(Role::Driver)));
    let input = |offset, data: &'static [u8]| Up::Input { offset, data: Bytes::from_static(data) };
    let ack = |next| Down::InputAck { next, is_resend: false };
    assert_eq!(bench.up(id, input(0, b"abc")), []);
    assert_eq!(bench.core.acks_due, Some(bench.now + ACK_MS));
    bench.now += ACK_MS;
    bench.core.tick(bench.now);
    assert_eq!(bench.downs(id), [ack(3)], "no echo came");
    assert_eq!(bench.up(id, input(0, b"abcde")), []);
    bench.core.output(Bytes::from_static(b"de"), bench.now);
    assert_eq!(bench.downs(id)[..1], [ack(5)], "with the echo");
    bench.now += ACK_MS;
    bench.core.tick(bench.now);
    assert!(!bench.downs(id).contains(&ack(5)), "said once");
    assert_eq!(bench.up(id, input(9, b"gap")), [ack(5)]);
    assert_eq!(bench.up(id, input(3, b"de")), [ack(5)], "known already");
    let mut taken = Vec::new();
    while let Some(piece) = bench.core.pending_input().cloned() {
        taken.extend_from_slice(&piece);
        bench.core.input_written(piece.len());
    }
    assert_eq!(taken, b"abcde");
}

#[test]
fn input_without_room_is_asked_for_again_when_there_is() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    bench.up(id, Up::Attach(attach(Role::Driver)));
    let data = Bytes::from(vec![b'x'; INPUT_CAP + 10]);
    assert_eq!(
        bench.up(id, Up::Input { offset: 0, data }),
        [Down::InputAck { next: INPUT_CAP as u64, is_resend: false }]
    );
    bench.core.input_written(INPUT_CAP);
    assert_eq!(bench.downs(id), [Down::InputAck { next: INPUT_CAP as u64, is_resend: true }]);
}

#[test]
fn a_viewer_that_falls_behind_gets_a_keyframe_and_the_count_once_it_has_read() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    bench.up(id, Up::Attach(Attach { window: Some(16 * 1024), ..attach(Role::Observer) }));
    assert_eq!(bench.output(id, &[b'a'; 16_000]).len(), 1);
    assert_eq!(bench.output(id, &[b'b'; 16_000]), [Down::Behind]);
    assert_eq!(bench.output(id, &[b'c'; 100_000]), [], "nothing more while it reads");
    bench.now += 1000;
    let downs = bench.up(id, Up::Consumed(16_000));
    assert!(matches!(downs[..], [Down::Keyframe { offset: 132_000, skipped: 116_000, .. }]), "{downs:?}");
    assert_eq!(bench.output(id, b"d").len(), 1, "on the stream again");
}

/// Sixteen floods beside an idle pane: viewers that kept up got 2 MB/s each, all of it replaced by the next screen, and
/// the idle pane's echo waited behind it for 45 ms.
#[test]
fn a_viewer_that_draws_gets_screens_of_a_flood_and_the_stream_after_it() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    bench.now = 1_000_000;
    bench.up(id, Up::Attach(Attach { pace_ms: Some(16), ..attach(Role::Driver) }));
    assert_eq!(bench.output(id, &[b'a'; 40_000]).len(), 1);
    assert_eq!(bench.output(id, &[b'b'; 40_000]), [Down::Behind]);
    for offset in [80_000, 180_000] {
        bench.now += 100;
        bench.output(id, &[b'c'; 100_000]);
        let downs = bench.up(id, Up::Consumed(offset));
        assert!(downs.iter().all(|down| !matches!(down, Down::Output { .. })), "{downs:?}");
    }
    bench.now += 100;
    bench.up(id, Up::Consumed(280_000));
    bench.now += 100;
    bench.up(id, Up::Consumed(280_000));
    assert_eq!(bench.output(id, b"d").len(), 1, "on the stream again");
    bench.up(id, Up::Input { offset: 0, data: Bytes::from_static(b"x") });
    let downs = bench.output(id, &[b'e'; 60_000]);
    assert!(matches!(downs[..], [Down::InputAck { .. }, Down::Output { .. }]), "the answer to a key comes as it is");
}

/// After a flood the keyframe was the last that came: the keeper took the client for one on the stream, and the relay, which
/// had been told that it is off it and nothing since, passed it none of the output for everybody.
#[test]
fn what_follows_a_flood_is_sent_to_the_client_that_was_off_the_stream() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    bench.up(id, Up::Attach(Attach { pace_ms: Some(16), ..attach(Role::Driver) }));
    let mut is_off = false;
    let mut next = |bench: &mut Bench, what: Option<&[u8]>| {
        if let Some(data) = what {
            bench.core.output(Bytes::copy_from_slice(data), bench.now);
        }
        let mut shown = 0;
        for effect in bench.core.take_effects() {
            // As a relay does it.
            match effect {
                Effect::Send { client: Some(_), down: Down::Behind, .. } => is_off = true,
                Effect::Send { client: Some(_), down: Down::Output { data, .. }, .. } => {
                    is_off = false;
                    shown += data.len();
                }
                Effect::Send { client: Some(_), down: Down::Keyframe { .. } | Down::Resized { .. }, .. } => {
                    is_off = false
                }
                Effect::Send { client: None, down: Down::Output { data, .. }, .. } if !is_off => shown += data.len(),
                _ => {}
            }
        }
        shown
    };
    for flood in 0..3u64 {
        let data = [b'a'; 100_000];
        next(&mut bench, Some(&data));
        // Everything is read, and time passes.
        for _ in 0..4 {
            bench.now += 100;
            bench.core.frame(LINK, Some(id), Up::Consumed(u64::MAX), bench.now);
            bench.core.catch_up_due(bench.now);
            next(&mut bench, None);
        }
        assert_eq!(next(&mut bench, Some(b"prompt")), 6, "after flood {flood}");
        bench.now += 1000;
    }
}

/// 257 resizes of a quiet session, a corner dragged for some seconds, emptied its log, and whoever followed the log heard of no
/// later one.
#[test]
fn any_number_of_resizes_costs_no_output_and_each_last_one_is_told() {
    let (mut bench, copy, driver) = (Bench::new(), ClientId::random(), ClientId::random());
    bench.core.output(Bytes::from_static(b"quiet"), 0);
    let wish = Attach { delivery: Delivery::Lossless, from_offset: Some(0), ..attach(Role::Observer) };
    bench.up(copy, Up::Attach(wish));
    bench.up(driver, Up::Attach(attach(Role::Driver)));
    let mut told = Size::DEFAULT;
    for step in 0..600 {
        let size = Size::new(10 + step % 7, 20 + step % 11);
        bench.core.frame(LINK, Some(driver), Up::Resize(size), bench.now);
        for down in bench.downs(copy) {
            if let Down::Resized { size, .. } = down {
                told = size;
            }
        }
        assert_eq!(told, size, "resize {step}");
    }
    assert_eq!(bench.core.log.start(), 0);
}

#[test]
fn a_copy_starts_at_the_oldest_byte_there_is_and_says_what_it_missed() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    let long = Bytes::from(vec![b'x'; 64 * 1024]);
    (0..80).for_each(|_| bench.core.output(long.clone(), 0));
    let end = 80 * 64 * 1024;
    let wish =
        Attach { delivery: Delivery::Lossless, from_offset: Some(0), is_from_oldest: true, ..attach(Role::Observer) };
    let downs = bench.up(id, Up::Attach(wish));
    let Down::Attached { offset, skipped, .. } = downs[0] else { panic!("{downs:?}") };
    assert!(offset > 0 && offset == skipped && offset + LOG_BYTES <= end, "{offset} {skipped}");
    assert!(matches!(&downs[1], Down::Output { offset: at, .. } if *at == offset), "{downs:?}");
}

/// A client that merely types must not shrink the screen of whoever looks at it.
#[test]
fn a_driver_without_a_size_has_no_say_in_it_until_it_sends_one() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    let wish = Attach { is_sizeless: true, size: Size::new(5, 5), ..attach(Role::Driver) };
    let downs = bench.up(id, Up::Attach(wish));
    assert!(matches!(downs[0], Down::Attached { size: Size::DEFAULT, .. }), "{downs:?}");
    let size = Size::new(44, 133);
    let downs = bench.up(id, Up::Resize(size));
    assert!(downs.iter().any(|down| matches!(down, Down::Resized { size: now, .. } if *now == size)), "{downs:?}");
}

#[test]
fn a_lossless_client_is_served_from_the_log_as_far_as_its_window() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    let window = 16 * 1024;
    let wish =
        Attach { window: Some(window), delivery: Delivery::Lossless, from_offset: Some(0), ..attach(Role::Observer) };
    bench.up(id, Up::Attach(wish));
    let data = vec![b'x'; 20_000];
    let part = |from: usize, to: usize| Bytes::copy_from_slice(&data[from..to]);
    assert_eq!(bench.output(id, &data), [Down::Output { offset: 0, data: part(0, window as usize) }]);
    let rest = part(window as usize, window as usize + 400);
    assert_eq!(bench.up(id, Up::Consumed(400)), [Down::Output { offset: window.into(), data: rest }]);
}

/// A client that asked for a window below the 8 KiB step in which it reports what it read got one window and then nothing:
/// it never reported, and the keeper never sent.
#[test]
fn a_window_below_the_step_of_reports_is_widened() {
    for delivery in [Delivery::Lossless, Delivery::Latest] {
        let (mut bench, id) = (Bench::new(), ClientId::random());
        let wish = Attach { window: Some(4096), delivery, from_offset: Some(0), ..attach(Role::Observer) };
        bench.up(id, Up::Attach(wish));
        let downs = bench.output(id, &[b'x'; 16_000]);
        assert!(matches!(&downs[..], [Down::Output { data, .. }] if data.len() == 16_000), "{downs:?}");
    }
}

/// A client that was still being served from the log was told of the end first, and took the rest for lost.
#[test]
fn the_exit_comes_after_the_last_byte_for_a_slow_client_too() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    let window = 16 * 1024;
    let wish =
        Attach { window: Some(window), delivery: Delivery::Lossless, from_offset: Some(0), ..attach(Role::Observer) };
    bench.up(id, Up::Attach(wish));
    let mut data = vec![b'x'; window as usize];
    data.extend_from_slice(b"45");
    bench.output(id, &data);
    bench.core.exited(0, None, 0);
    assert_eq!(bench.downs(id), [], "two bytes are not sent yet");
    let downs = bench.up(id, Up::Consumed(window.into()));
    let exit = Exit { code: 0, signal: None, offset: u64::from(window) + 2 };
    assert_eq!(downs, [Down::Output { offset: window.into(), data: Bytes::from_static(b"45") }, Down::Exited(exit)]);
}

/// A client could ask for many keyframes in one turn, and the keeper made every one of them.
#[test]
fn keyframes_asked_for_in_a_storm_are_one_at_a_time() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    bench.up(id, Up::Attach(attach(Role::Observer)));
    bench.output(id, b"0123456789");
    bench.now += 1000;
    let ask = |from_offset| Up::Refresh { from_offset, keyframe: KeyframeKind::Replica, history_bytes: 0 };
    let downs = bench.up(id, ask(4));
    assert!(matches!(downs[..], [Down::Keyframe { offset: 10, skipped: 6, .. }]), "the first at once: {downs:?}");
    for from in 0..1000 {
        assert_eq!(bench.up(id, ask(from % 10)), [], "the others wait");
    }
    bench.core.tick(bench.now + 1);
    assert_eq!(bench.downs(id), [], "not yet");
    bench.core.tick(bench.now + 1000);
    let downs = bench.downs(id);
    assert!(matches!(downs[..], [Down::Keyframe { offset: 10, skipped: 1, .. }]), "as one: {downs:?}");
    bench.core.tick(bench.now + 2000);
    assert_eq!(bench.downs(id), []);
}

#[test]
fn keyframes_asked_for_wait_for_the_link_and_come_one_a_turn() {
    let mut bench = Bench::new();
    let ids = [ClientId::random(), ClientId::random()];
    let ask = Up::Refresh { from_offset: 0, keyframe: KeyframeKind::Replica, history_bytes: 0 };
    for id in ids {
        bench.up(id, Up::Attach(attach(Role::Observer)));
        bench.up(id, ask.clone());
    }
    let keyframes = |bench: &mut Bench| {
        let effects = bench.core.take_effects();
        effects.iter().filter(|effect| matches!(effect, Effect::Send { down: Down::Keyframe { .. }, .. })).count()
    };
    bench.core.link_room(LINK, false);
    bench.now += 5000;
    bench.core.tick(bench.now);
    assert_eq!(keyframes(&mut bench), 0);
    assert_eq!(bench.core.deadline(), None, "nothing to wake up for");
    bench.core.link_room(LINK, true);
    for expected in [1, 1, 0] {
        assert!(expected == 0 || bench.core.deadline().is_some_and(|due| due <= bench.now));
        bench.core.tick(bench.now);
        assert_eq!(keyframes(&mut bench), expected);
    }
}

/// The wish for a pace was carried to the keeper and ignored there.
#[test]
fn a_client_gets_output_at_the_pace_it_asked_for_and_delays_nobody_else() {
    let mut bench = Bench::new();
    let (slow, fast) = (ClientId::random(), ClientId::random());
    bench.up(fast, Up::Attach(attach(Role::Observer)));
    let downs = bench.up(slow, Up::Attach(Attach { pace_ms: Some(200), ..attach(Role::Observer) }));
    assert!(downs.contains(&Down::Behind), "never on the stream: {downs:?}");
    bench.up(slow, Up::Consumed(0));
    bench.now += 1000;
    // What the slow client alone is sent, and what goes to everybody on the stream.
    let step = |bench: &mut Bench, ms: u64, data: &'static [u8]| {
        bench.now += ms;
        bench.core.output(Bytes::from_static(data), bench.now);
        bench.core.tick(bench.now);
        let (mut own, mut all) = (Vec::new(), Vec::new());
        for effect in bench.core.take_effects() {
            match effect {
                Effect::Send { client: Some(id), down: Down::Output { data, .. }, .. } if id == slow => own.push(data),
                Effect::Send { client: None, down: Down::Output { data, .. }, .. } => all.push(data),
                _ => {}
            }
        }
        let offset = bench.core.log.end();
        if !own.is_empty() {
            bench.core.frame(LINK, Some(slow), Up::Consumed(offset), bench.now);
        }
        (own.concat(), all.concat())
    };
    assert_eq!(step(&mut bench, 0, b"a"), (b"a".to_vec(), b"a".to_vec()), "after quiet at once");
    assert_eq!(step(&mut bench, 20, b"b"), (vec![], b"b".to_vec()));
    assert_eq!(step(&mut bench, 20, b"c"), (vec![], b"c".to_vec()));
    assert_eq!(step(&mut bench, 160, b"d"), (b"bcd".to_vec(), b"d".to_vec()), "joined when its time has come");
    assert_eq!(step(&mut bench, 10, b"e"), (vec![], b"e".to_vec()));
    let due = bench.core.keyframe_due();
    assert_eq!(due, Some(bench.now + 190), "the rest comes without more output");
    bench.core.tick(bench.now + 190);
    assert!(bench.downs(slow).contains(&Down::Output { offset: 4, data: Bytes::from_static(b"e") }));
    assert_eq!(bench.core.keyframe_due(), None, "and then nothing is due");
}

/// A keyframe counted as read when it was sent: a viewer that read nothing got another one every 33 ms of a flood, and the
/// keeper's memory grew without bound.
#[test]
fn a_viewer_that_reads_no_keyframe_gets_no_second_one() {
    for pace_ms in [None, Some(200)] {
        let (mut bench, id) = (Bench::new(), ClientId::random());
        bench.up(id, Up::Attach(Attach { pace_ms, window: Some(16 * 1024), ..attach(Role::Observer) }));
        let is_keyframe = |down: &Down| matches!(down, Down::Keyframe { .. });
        let flood = |bench: &mut Bench| {
            let mut keyframes = 0;
            for _ in 0..100 {
                bench.now += 50;
                bench.core.output(Bytes::from(vec![b'x'; 64 * 1024]), bench.now);
                bench.core.tick(bench.now);
                keyframes += bench.downs(id).iter().filter(|down| is_keyframe(down)).count();
            }
            keyframes
        };
        assert_eq!(flood(&mut bench), 0, "the one of the attach is not read yet");
        let sent = bench.core.clients.get_mut(id).unwrap().sent;
        let downs = bench.up(id, Up::Consumed(sent));
        assert_eq!(downs.iter().filter(|down| is_keyframe(down)).count() + flood(&mut bench), 1);
    }
}

#[test]
fn a_pace_is_clamped_and_one_as_fast_as_the_stream_changes_nothing() {
    for (wish, expected) in [(16, 0), (17, 0), (18, 18), (1000, 1000), (u32::MAX, 1000)] {
        let (mut bench, id) = (Bench::new(), ClientId::random());
        let downs = bench.up(id, Up::Attach(Attach { pace_ms: Some(wish), ..attach(Role::Observer) }));
        assert_eq!(bench.core.clients.get_mut(id).unwrap().pace_ms, expected);
        assert_eq!(downs.contains(&Down::Behind), expected > 0);
    }
}

#[test]
fn the_smallest_driver_sizes_the_session() {
    let mut bench = Bench::new();
    let (large, small) = (ClientId::random(), ClientId::random());
    bench.up(large, Up::Attach(Attach { size: Size::new(50, 200), ..attach(Role::Driver) }));
    assert_eq!(bench.core.summary().size, Size::new(50, 200));
    bench.up(ClientId::random(), Up::Attach(Attach { size: Size::new(2, 9), ..attach(Role::Observer) }));
    assert_eq!(bench.core.summary().size, Size::new(50, 200), "observers do not count");
    bench.up(small, Up::Attach(Attach { size: Size::new(60, 80), ..attach(Role::Driver) }));
    assert_eq!(bench.core.summary().size, Size::new(50, 80));
    bench.up(small, Up::SetRole(Role::Observer));
    assert_eq!(bench.core.summary().size, Size::new(50, 200));
}

#[test]
fn the_exit_is_kept_until_seen_and_everybody_left() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    bench.core.output(Bytes::from_static(b"bye"), 0);
    bench.core.exited(3, None, 0);
    assert!(!bench.core.is_over(), "nobody has seen it");
    let downs = bench.up(id, Up::Attach(attach(Role::Observer)));
    assert!(downs.contains(&Down::Exited(Exit { code: 3, signal: None, offset: 3 })), "{downs:?}");
    bench.up(id, Up::Consumed(3));
    assert!(!bench.core.is_over(), "somebody looks at it");
    bench.up(id, Up::Detach);
    assert!(bench.core.is_over());
}

#[test]
fn queries_are_answered_to_the_program_and_to_nobody_else() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    bench.up(id, Up::Attach(attach(Role::Driver)));
    bench.output(id, b"\x1b[6n");
    bench.core.settle(0);
    assert_eq!(bench.core.pending_input().map(|data| &data[..]), Some(&b"\x1b[1;1R"[..]));
    assert_eq!(bench.downs(id), []);
}

/// A keeper that parsed a dear flood answered nobody before it was through: `session destroy` gave up. Now whoever attaches gets
/// the screen as far as it has come, and the rest of the bytes, in the same turn.
#[test]
fn a_client_attaches_while_the_screen_lags_and_gets_every_byte_once() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    let flood = b"\x1b#8\x1b[2J".repeat(20_000);
    bench.core.output(Bytes::from(flood.clone()), bench.now);
    bench.core.settle(bench.now);
    assert!(bench.core.is_lagging());
    let downs = bench.up(id, Up::Attach(attach(Role::Driver)));
    assert!(bench.core.is_lagging(), "nobody waited for it");
    let Some(&Down::Attached { offset: start, skipped: 0, .. }) = downs.first() else { panic!("{:?}", downs.first()) };
    let mut next = None;
    for down in downs {
        match down {
            Down::Keyframe { offset, .. } => next = Some(offset),
            Down::Output { offset, data } => {
                assert_eq!(Some(offset), next);
                assert_eq!(data, flood[offset as usize..offset as usize + data.len()]);
                next = Some(offset + data.len() as u64);
            }
            _ => {}
        }
    }
    assert_eq!(next, Some(flood.len() as u64));
    assert!(start > 0 && start < flood.len() as u64);
    // What it types and asks is answered before the screen is done.
    let input = Up::Input { offset: 0, data: Bytes::from_static(b"\x03") };
    bench.up(id, input);
    assert_eq!(bench.core.pending_input(), Some(&Bytes::from_static(b"\x03")));
    bench.core.frame(LINK, None, Up::Close, bench.now);
    assert!(bench.core.take_effects().contains(&Effect::HangUp) && bench.core.is_lagging());
}

#[test]
fn a_resize_comes_after_the_output_that_the_screen_has_not_taken() {
    let (mut bench, id) = (Bench::new(), ClientId::random());
    bench.core.output(Bytes::from(b"\x1b#8\x1b[2J".repeat(20_000)), bench.now);
    let size = Size::new(10, 20);
    let downs = bench.up(id, Up::Attach(Attach { size, ..attach(Role::Driver) }));
    let at = |wanted: fn(&Down) -> bool| downs.iter().position(wanted);
    assert!(matches!(downs[1], Down::Keyframe { size: Size::DEFAULT, .. }));
    assert!(at(|down| matches!(down, Down::Output { .. })) < at(|down| matches!(down, Down::Resized { .. })));
    while bench.core.is_lagging() {
        bench.core.settle(bench.now);
    }
    bench.now += 1000;
    let downs = bench.up(id, Up::Refresh { from_offset: 0, keyframe: KeyframeKind::Replica, history_bytes: 0 });
    assert!(matches!(downs[..], [Down::Keyframe { size: shown, .. }, ..] if shown == size), "{downs:?}");
}
