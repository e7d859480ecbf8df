//! Invariant 4: a role is enforced where the PTY is.

use bytes::Bytes;
use fleetmux::fleet::{Code, Role, Size};
use fleetmux::stream::Up;

use crate::support::{Fleet, Pane, driver, observer, sh};

#[tokio::test]
async fn the_keeper_refuses_an_observer_that_lies_about_its_role() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session =
        fleet.session(&client, "web-1", sh("trap 'echo got-int' INT; while read x; do echo read:$x; done")).await;
    let mut liar = Pane::attach(&client, &session, observer());
    liar.until("attached", |pane| pane.role == Some(Role::Observer)).await;
    // Raw frames, as a client that believes itself a driver would send them.
    let handle = liar.attachment.handle();
    handle.send_unchecked(Up::Input { offset: 0, data: Bytes::from_static(b"evil\n") });
    handle.send_unchecked(Up::Resize(Size::new(10, 10)));
    handle.send_unchecked(Up::Signal(2));
    handle.send_unchecked(Up::Close);
    liar.until("four refusals", |pane| pane.refusals.len() == 4).await;
    assert!(liar.refusals.iter().all(|refusal| refusal.code == Code::PermissionDenied), "{:?}", liar.refusals);
    // Nothing of it reached the program: what a driver types is the first thing it reads.
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    pane.type_text("good\n");
    pane.until_text("read:good").await;
    assert!(!pane.text().contains("evil") && !pane.text().contains("got-int"), "{}", pane.text());
    assert_eq!(pane.screen.size(), Size::DEFAULT);
}

#[tokio::test]
async fn a_role_switches_in_place_and_everybody_hears_who_watches() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let mut first = Pane::attach(&client, &session, driver(Size::new(24, 80)));
    let mut second = Pane::attach(&client, &session, observer());
    first.until("an observer", |pane| pane.observers == 1).await;
    second.attachment.handle().set_role(Role::Driver);
    second.until("driver", |pane| pane.role == Some(Role::Driver)).await;
    second.type_text("from-the-second\n");
    first.until_text("from-the-second").await;
    first.until("no observer", |pane| pane.observers == 0).await;
}

#[tokio::test]
async fn the_smallest_driver_sizes_the_session_and_observers_do_not() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session =
        fleet.session(&client, "web-1", sh("trap 'stty size' WINCH; echo ready; while :; do read x; done")).await;
    let mut large = Pane::attach(&client, &session, driver(Size::new(40, 120)));
    large.until("its own size", |pane| pane.screen.size() == Size::new(40, 120)).await;
    // The shell has set its trap.
    large.until_text("ready").await;
    let _watching =
        Pane::attach(&client, &session, fleetmux::client::AttachOptions::new(Role::Observer, Size::new(5, 20)));
    let small = Pane::attach(&client, &session, driver(Size::new(30, 100)));
    large.until("the smaller size", |pane| pane.screen.size() == Size::new(30, 100)).await;
    large.until_text("30 100").await;
    small.attachment.handle().detach();
    large.until("its own size again", |pane| pane.screen.size() == Size::new(40, 120)).await;
}
