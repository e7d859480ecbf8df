//! Revoked means gone, at once: whoever opened something with a key that ended gets nothing by it, wherever it waited.

use fleetmux::fleet::{Credentials, Secret};
use fleetmux::wire::{self, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::identity::Realm;
use crate::support::PATIENCE;

async fn dial(realm: &Realm, key: &str) -> wire::Channel {
    let credentials = Credentials { key: Some(Secret::new(key)), ca_pem: Some(realm.ca_pem()), ca_fingerprint: None };
    wire::dial(&realm.endpoint, &credentials).await.unwrap()
}

/// A stream that waited for its first frame outlived `keys revoke ci` when a key of that name was made again: the name was
/// compared, and the next frame ran a command.
#[tokio::test]
async fn a_stream_of_a_revoked_key_is_not_saved_by_another_key_of_its_name() {
    let realm = Realm::with_machine("web-1");
    let old = realm.key("ci", &[]);
    let machine = crate::support::machine(&realm.client(&old), "web-1", true).await;
    let (exec_tx, exec_rx) = mpsc::channel(1);
    let (link_tx, link_rx) = mpsc::channel(1);
    let mut exec =
        wire::exec_service(dial(&realm, &old).await).exec(ReceiverStream::new(exec_rx)).await.unwrap().into_inner();
    let mut link =
        wire::client_service(dial(&realm, &old).await).link(ReceiverStream::new(link_rx)).await.unwrap().into_inner();
    realm.says(&["keys", "revoke", "ci", "--relay", &realm.own()]);
    let new = realm.key("ci", &[]);

    let trace = realm.path("ran");
    let start = v1::ExecStart {
        machine: machine.facts.id.as_bytes().to_vec().into(),
        argv: vec!["touch".into(), trace.to_str().unwrap().into()],
        ..Default::default()
    };
    exec_tx.send(v1::ExecUp { frame: Some(v1::exec_up::Frame::Start(start)) }).await.unwrap();
    let said = tokio::time::timeout(PATIENCE, exec.message()).await.unwrap().unwrap().unwrap();
    let Some(v1::exec_down::Frame::Refused(refused)) = said.frame else { panic!("{said:?}") };
    assert!(refused.message.contains("key ci is revoked"), "{refused:?}");

    let hello = v1::client_up::Frame::Hello(wire::hello());
    link_tx.send(v1::ClientUp { channel: 0, frame: Some(hello) }).await.unwrap();
    let ended = async {
        loop {
            match link.message().await {
                Ok(Some(_)) => {}
                other => return other,
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap_err();
    assert!(ended.message().contains("key ci is revoked"), "{ended:?}");
    assert!(!trace.exists());
    realm.client(&new).connected(PATIENCE).await.unwrap();
}

/// The same of a machine: its thief's stream went on when the machine had joined again.
#[tokio::test]
async fn a_link_with_the_former_key_of_a_machine_that_joined_again_is_cut() {
    let realm = Realm::start();
    realm.join("web-1", &realm.token(&[]));
    let (stolen, id) = (realm.machine_key("web-1"), realm.machine_id("web-1"));
    let link = async |has_said: bool| {
        let (frames_tx, frames_rx) = mpsc::channel(4);
        let up = |frame| v1::AgentUp { frame: Some(frame) };
        if has_said {
            frames_tx.send(up(v1::agent_up::Frame::Hello(wire::hello()))).await.unwrap();
            let facts =
                v1::MachineFacts { id: id.as_bytes().to_vec().into(), name: "web-1".into(), ..Default::default() };
            frames_tx.send(up(v1::agent_up::Frame::Facts(facts))).await.unwrap();
        }
        let channel = dial(&realm, &stolen).await;
        let down = wire::agent_service(channel).link(ReceiverStream::new(frames_rx)).await.unwrap().into_inner();
        (frames_tx, down)
    };
    // One that is there, and one that waits with its first frame.
    let (_there_tx, mut there) = link(true).await;
    let (waits_tx, mut waits) = link(false).await;
    crate::support::machine(&realm.local(), "web-1", true).await;
    let said = realm.join("web-1", &realm.token(&[]));
    assert!(said.contains("has joined"), "{said}");
    assert_ne!(realm.machine_key("web-1"), stolen);
    waits_tx.send(v1::AgentUp { frame: Some(v1::agent_up::Frame::Hello(wire::hello())) }).await.unwrap();
    for down in [&mut there, &mut waits] {
        let ended = async {
            loop {
                match down.message().await {
                    Ok(Some(_)) => {}
                    other => return other,
                }
            }
        };
        let ended = tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap_err();
        assert!(ended.message().contains("is revoked"), "{ended:?}");
    }
}
