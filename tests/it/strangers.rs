//! Whoever has shown no key costs a relay next to nothing, and those who have one nothing at all.

use fleetmux::fleet::{Credentials, Endpoint, Size};
use fleetmux::wire::{self, v1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::identity::Realm;
use crate::support::{PATIENCE, Pane, driver, machine, memory_kib, sh};

/// What strangers may cost a relay, KiB.
const COST_KIB: u64 = 100 * 1024;

fn address(realm: &Realm) -> String {
    let Endpoint::Tls(address) = &realm.endpoint else { panic!() };
    address.clone()
}

/// 1,500 connections that said nothing were all there after 45 s, 256 of them were every descriptor, and nobody got in;
/// bodies of calls without a key took a relay from 19 to 775 MiB.
#[tokio::test]
async fn ten_thousand_strangers_from_one_address_are_not_noticed() {
    let realm = Realm::with_machine("web-1");
    let key = realm.key("ada", &[]);
    let client = realm.client(&key);
    let web = machine(&client, "web-1", true).await;
    let session = client.create_session(web.facts.id, sh("cat")).await.unwrap();
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    let before = memory_kib(realm.relay_pid());

    let address = address(&realm);
    let hostile = tokio::spawn(async move {
        let mut held = std::collections::VecDeque::new();
        for number in 0..10_000 {
            // Some of them have to wait for the relay's queue in the kernel.
            let Ok(mut tcp) = TcpStream::connect(&address).await else { continue };
            let says: &[u8] = match number % 3 {
                0 => b"",
                1 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                _ => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            };
            let _ = tcp.write_all(says).await;
            held.push_back(tcp);
            if held.len() > 400 {
                held.pop_front();
            }
        }
        held
    });
    // Bodies that nobody asked for, on connections that have shaken hands.
    let credentials = Credentials { ca_pem: Some(realm.ca_pem()), ..Credentials::default() };
    let endpoint = realm.endpoint.clone();
    let bodies = tokio::spawn(async move {
        for _ in 0..3 {
            let Ok(channel) = wire::dial(&endpoint, &credentials).await else { continue };
            let calls: Vec<_> = (0..12)
                .map(|_| {
                    let spec = v1::SessionSpec { name: "x".repeat(30 << 20), ..Default::default() };
                    let request = v1::CreateSessionRequest { spec: Some(spec), ..Default::default() };
                    let mut service = wire::client_service(channel.clone());
                    tokio::spawn(async move { service.create_session(request).await })
                })
                .collect();
            for call in calls {
                call.await.unwrap().unwrap_err();
            }
        }
    });
    let mut most = 0;
    let mut round = 0;
    while !(hostile.is_finished() && bodies.is_finished()) || round < 5 {
        round += 1;
        pane.type_text(&format!("round-{round}\n"));
        pane.until_text(&format!("round-{round}")).await;
        client.fleet().await.unwrap();
        // Somebody who comes now, from the same address.
        let (machines, _) = realm.client(&key).fleet().await.unwrap();
        assert_eq!(machines.len(), 1);
        most = most.max(memory_kib(realm.relay_pid()));
    }
    bodies.await.unwrap();
    let held = hostile.await.unwrap();
    assert!(most.saturating_sub(before) < COST_KIB, "{before} KiB before, {most} KiB at most");
    assert_eq!(pane.lost, 0);
    drop(held);
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_only_half_of_it_ends() {
    let realm = Realm::start();
    let mut silent = TcpStream::connect(address(&realm)).await.unwrap();
    let credentials = Credentials { ca_pem: Some(realm.ca_pem()), ..Credentials::default() };
    let _shaken = wire::dial(&realm.endpoint, &credentials).await.unwrap();
    let mut buffer = [0; 16];
    let end = tokio::time::timeout(PATIENCE, silent.read(&mut buffer)).await.expect("the relay ends it");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    // With a key a stream has to say what it wants in time, and is told.
    let key = realm.key("ada", &[]);
    let credentials = Credentials { key: Some(fleetmux::fleet::Secret::new(key)), ..credentials };
    let channel = wire::dial(&realm.endpoint, &credentials).await.unwrap();
    let (exec_tx, exec_rx) = tokio::sync::mpsc::channel(1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(exec_rx);
    let mut answers = wire::exec_service(channel).exec(stream).await.unwrap().into_inner();
    let answer = tokio::time::timeout(PATIENCE, answers.message()).await.expect("it ends");
    assert!(matches!(answer, Ok(None) | Err(_)), "{answer:?}");
    drop(exec_tx);
}

/// Keys have shares: one reader that took nothing held all that a machine's files could be asked at once.
#[tokio::test]
async fn a_key_that_reads_nothing_holds_its_own_share_only() {
    let realm = Realm::with_machine("web-1");
    let (hostile, good) = (realm.key("eve", &[]), realm.key("ada", &[]));
    let large = realm.path("large");
    std::fs::write(&large, vec![7; 4 << 20]).unwrap();
    let client = realm.client(&good);
    let web = machine(&client, "web-1", true).await;
    let before = memory_kib(realm.relay_pid());
    let credentials = Credentials {
        key: Some(fleetmux::fleet::Secret::new(hostile)),
        ca_pem: Some(realm.ca_pem()),
        ..Credentials::default()
    };
    let mut channel = wire::dial(&realm.endpoint, &credentials).await.unwrap();
    let mut held = Vec::new();
    let mut refused = 0;
    for number in 0..300 {
        if number == 32 {
            // The window of the first connection is used up.
            channel = wire::dial(&realm.endpoint, &credentials).await.unwrap();
        }
        let (up_tx, up_rx) = tokio::sync::mpsc::channel(2);
        let read = v1::FileRead { path: large.to_str().unwrap().as_bytes().to_vec().into(), ..Default::default() };
        let start = v1::FileStart {
            machine: web.facts.id.as_bytes().to_vec().into(),
            request: Some(v1::file_start::Request::Read(read)),
        };
        up_tx.send(v1::FileUp { frame: Some(v1::file_up::Frame::Start(start)) }).await.unwrap();
        // As much as the machine likes to send.
        up_tx.send(v1::FileUp { frame: Some(v1::file_up::Frame::Credit(1 << 40)) }).await.unwrap();
        let stream = tokio_stream::wrappers::ReceiverStream::new(up_rx);
        let mut down = wire::file_service(channel.clone()).files(stream).await.unwrap().into_inner();
        if held.len() >= 32 {
            let first = tokio::time::timeout(PATIENCE, down.message()).await.unwrap().unwrap().unwrap();
            refused += usize::from(matches!(first.frame, Some(v1::file_down::Frame::Refused(_))));
        }
        held.push((up_tx, down));
    }
    assert!(refused > 200, "{refused} of 268 over its share");
    let files = client.files().on(web.facts.id);
    let read = tokio::time::timeout(PATIENCE, files.read(&large)).await.expect("a neighbour's turn comes").unwrap();
    assert_eq!(read.len(), 4 << 20);
    let most = memory_kib(realm.relay_pid());
    assert!(most.saturating_sub(before) < 300 * 1024, "{before} KiB before, {most} KiB after");
}

/// One call without a key every 0.7 s kept everybody new behind the same address out, with keys that were good; and after a
/// restart so did a few wrong ones those who had been good there for months.
#[tokio::test]
async fn only_wrong_secrets_count_and_who_was_good_stays_good_after_a_restart() {
    let mut realm = Realm::start();
    let (known, unseen) = (realm.key("known", &[]), realm.key("unseen", &[]));
    realm.client(&known).connected(PATIENCE).await.unwrap();
    let credentials = Credentials { ca_pem: Some(realm.ca_pem()), ..Credentials::default() };
    for _ in 0..30 {
        let channel = wire::dial(&realm.endpoint, &credentials).await.unwrap();
        wire::admin_service(channel).who_am_i(v1::WhoAmIRequest {}).await.unwrap_err();
    }
    // Nor is a key a guess that was good once.
    let old = realm.key("old", &[]);
    realm.says(&["keys", "revoke", "old", "--relay", &realm.own()]);
    for _ in 0..12 {
        realm.client(&old).connected(PATIENCE).await.unwrap_err();
    }
    realm.client(&unseen).connected(PATIENCE).await.unwrap();

    let at = address(&realm);
    realm.kill_relay();
    realm.serve(&at);
    let new = realm.key("new", &[]);
    for guess in 0..11 {
        realm.client(&format!("fm_guess-{guess}")).connected(PATIENCE).await.unwrap_err();
    }
    realm.client(&known).connected(PATIENCE).await.unwrap();
    realm.client(&new).connected(PATIENCE).await.unwrap_err();
}
