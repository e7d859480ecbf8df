//! The machine's own rules have the last word, whatever its relay lets through.

use bytes::Bytes;
use fleetmux::client::{Client, Error};
use fleetmux::fleet::{Code, Refusal, Role, Session, SessionSpec, Size};
use fleetmux::stream::Up;

use crate::cli::{fleetmux, ok};
use crate::support::{Fleet, Pane, driver, observer, sh};

/// `fleetmux permissions` on the machine called web-1.
fn permissions(fleet: &Fleet, args: &[&str]) -> String {
    let dir = fleet.dir.path().join("web-1");
    ok(fleetmux(fleet).arg("permissions").args(args).arg("--dir").arg(dir))
}

fn me() -> String {
    format!("uid:{}", rustix::process::getuid().as_raw())
}

/// Waits for the refusal that ends an attachment.
async fn refused(client: &Client, session: &Session, role: Role) -> Refusal {
    let mut pane = Pane::new(client.attach(session.id(), fleetmux::client::AttachOptions::new(role, Size::DEFAULT)));
    pane.until("closed", |pane| pane.closed.is_some()).await;
    assert_eq!(pane.role, None, "it never was attached");
    pane.closed.flatten().expect("a reason")
}

#[tokio::test]
async fn the_agent_refuses_a_driver_that_the_relay_lets_through() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("while read x; do echo read:$x; done")).await;
    permissions(&fleet, &["deny", &me(), "drive"]);
    let refusal = refused(&client, &session, Role::Driver).await;
    assert_eq!(refusal.code, Code::PermissionDenied);
    let me = me();
    assert_eq!(
        refusal.message,
        format!(
            "rule 1 (`deny {me} drive`) in permissions.toml on web-1 denies drive to {me}; see `fleetmux permissions list` there"
        )
    );
    // Watching is allowed; taking the wheel is not, and the observer stays one.
    let mut watching = Pane::attach(&client, &session, observer());
    watching.until("attached", |pane| pane.role == Some(Role::Observer)).await;
    watching.attachment.handle().set_role(Role::Driver);
    watching.until("refused", |pane| pane.refusals.len() == 1).await;
    assert_eq!(watching.refusals[0], refusal);
    watching.attachment.handle().send_unchecked(Up::Input { offset: 0, data: Bytes::from_static(b"evil\n") });
    watching.until("refused by the keeper", |pane| pane.refusals.len() == 2).await;
    assert_eq!(watching.refusals[1].code, Code::PermissionDenied);
    // The file is obeyed as it is now: without the rule the same client takes the wheel.
    permissions(&fleet, &["remove", "1"]);
    watching.attachment.handle().set_role(Role::Driver);
    watching.until("driver", |pane| pane.role == Some(Role::Driver)).await;
    watching.type_text("good\n");
    watching.until_text("read:good").await;
    assert!(!watching.text().contains("evil"), "{}", watching.text());
}

#[tokio::test]
async fn sessions_are_made_and_ended_by_rule_and_by_name() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let named = |name: &str| SessionSpec { name: name.into(), ..sh("cat") };
    let prod = fleet.session(&client, "web-1", named("prod-db")).await;
    let test = fleet.session(&client, "web-1", named("test")).await;
    permissions(&fleet, &["default", "deny"]);
    permissions(&fleet, &["allow", "*", "observe"]);
    permissions(&fleet, &["allow", &me(), "create,destroy", "--session", "test*"]);
    let machine = prod.machine;
    let denied = |outcome: Result<(), Error>, action: &str| match outcome {
        Err(Error::PermissionDenied(message)) => {
            assert!(message.starts_with("no rule in permissions.toml on web-1 allows"), "{message}");
            assert!(message.contains(action), "{message}");
        }
        other => panic!("{action}: {other:?}"),
    };
    denied(client.create_session(machine, named("prod-2")).await.map(drop), "create");
    denied(client.destroy_session(prod.id()).await, "destroy");
    let mut watching = Pane::attach(&client, &prod, observer());
    watching.until("attached", |pane| pane.role == Some(Role::Observer)).await;
    let spec = SessionSpec { until_pid: Some(std::process::id()), ..named("test-2") };
    let made = client.create_session(machine, spec).await.unwrap();
    client.destroy_session(made.id()).await.unwrap();
    client.destroy_session(test.id()).await.unwrap();
}

/// A driver that was let in under other rules attaches anew, over the same agent: it is refused, and the keeper no longer
/// listens to what it sends all the same.
#[tokio::test]
async fn a_client_that_is_refused_when_it_comes_back_has_left_the_wheel() {
    let mut fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("while read x; do echo read:$x; done")).await;
    let mut first = Pane::attach(&client, &session, driver(Size::DEFAULT));
    first.until("driver", |pane| pane.role == Some(Role::Driver)).await;
    permissions(&fleet, &["deny", "*", "drive"]);
    first.type_text("still\n");
    first.until_text("read:still").await;
    fleet.kill_agent("web-1");
    fleet.start_agent("web-1");
    first.until("closed", |pane| pane.closed.is_some()).await;
    assert_eq!(first.closed.flatten().unwrap().code, Code::PermissionDenied);
}

#[tokio::test]
async fn a_broken_file_at_the_start_denies_everything_and_says_where_it_is_broken() {
    let mut fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let file = fleet.dir.path().join("web-1/permissions.toml");
    permissions(&fleet, &["default", "allow"]);
    std::fs::write(&file, "default = \"allow\"\n\n[[rule]]\neffect = \"deny\"\nwho = \"*\"\nactions = \"dirve\"\n")
        .unwrap();
    // The running agent keeps the last good rules.
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    pane.until("driver", |pane| pane.role == Some(Role::Driver)).await;
    drop(pane);
    fleet.kill_agent("web-1");
    fleet.start_agent("web-1");
    let mut pane = Pane::attach(&client, &session, observer());
    pane.until("closed", |pane| pane.closed.is_some()).await;
    let refusal = pane.closed.flatten().unwrap();
    assert_eq!(refusal.code, Code::PermissionDenied);
    assert!(refusal.message.contains("permissions.toml, line 3: \"dirve\" is no action"), "{}", refusal.message);
    // `list` says the same and fails.
    let dir = fleet.dir.path().join("web-1");
    let listed = fleetmux(&fleet).args(["permissions", "list", "--dir"]).arg(dir).output().unwrap();
    assert_eq!(listed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&listed.stdout).contains("line 3: \"dirve\" is no action"));
}

/// Under new rules a client is judged again when it asks for a role: one that may not even watch is let out.
#[tokio::test]
async fn who_may_not_watch_any_more_is_cut_when_it_asks_for_a_role() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let mut first = Pane::attach(&client, &session, driver(Size::DEFAULT));
    let mut second = Pane::attach(&client, &session, observer());
    first.until("an observer", |pane| pane.observers == 1).await;
    second.until("attached", |pane| pane.role == Some(Role::Observer)).await;
    permissions(&fleet, &["deny", "*", "observe"]);
    second.attachment.handle().set_role(Role::Driver);
    second.until("closed", |pane| pane.closed.is_some()).await;
    assert_eq!(second.closed.flatten().unwrap().code, Code::PermissionDenied);
    // And the keeper has let it go.
    first.until("no observer", |pane| pane.observers == 0).await;
}
