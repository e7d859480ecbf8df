//! What no SDK would send, and everything at once: the relay lives and still answers.
//!
//! Messages are made of random fields of the schema's numbers, so most of them decode and mean something absurd.

use bytes::{BufMut, Bytes};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::world::{Listen, World};

/// Calls and streams tried, unless `FLEETMUX_CASES` says otherwise.
const CASES: u32 = 200;

/// Messages as the bytes they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        use bytes::Buf;
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// One field of a message.
#[derive(Clone, Debug)]
enum Field {
    Number(u32, u64),
    Text(u32, Vec<u8>),
    Inner(u32, Vec<Field>),
    /// The session, or a register message for it.
    Session,
    Attach,
    Junk(Vec<u8>),
    Giant(u32, usize),
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn block(tag: u32, data: &[u8], out: &mut Vec<u8>) {
    varint(u64::from(tag) << 3 | 2, out);
    varint(data.len() as u64, out);
    out.extend_from_slice(data);
}

fn message(fields: &[Field], session: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields {
        match field {
            Field::Number(tag, number) => {
                varint(u64::from(*tag) << 3, &mut out);
                varint(*number, &mut out);
            }
            Field::Text(tag, text) => block(*tag, text, &mut out),
            Field::Inner(tag, inner) => block(*tag, &message(inner, session), &mut out),
            Field::Session => block(1, session.as_bytes(), &mut out),
            Field::Attach => {
                let mut register = Vec::new();
                block(1, b"sdk-fuzz-attach", &mut register);
                block(10, &register, &mut out);
            }
            Field::Junk(junk) => out.extend_from_slice(junk),
            Field::Giant(tag, len) => block(*tag, &vec![b'x'; *len], &mut out),
        }
    }
    out
}

fn field() -> impl Strategy<Value = Field> {
    let tag = || prop_oneof![1u32..6, 10u32..13, 20u32..32, Just(120), 1u32..200];
    let reason = prop::sample::select(vec![
        "resize:1x1",
        "resize:0x0",
        "resize:99999999999999999999x1",
        "signal:9",
        "signal:-1",
        "signal:SIGKILL",
        "detach",
        "history:-1:-1",
        "local",
        "..",
        "/etc/passwd",
        "%n%s",
        "\u{0}",
        "resize:",
        ":",
        "web-one",
    ]);
    let leaf = prop_oneof![
        (tag(), any::<u64>()).prop_map(|(tag, number)| Field::Number(tag, number)),
        (tag(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(tag, text)| Field::Text(tag, text)),
        (tag(), reason).prop_map(|(tag, text)| Field::Text(tag, text.as_bytes().to_vec())),
        Just(Field::Session),
        Just(Field::Attach),
        prop::collection::vec(any::<u8>(), 0..10).prop_map(Field::Junk),
        (tag(), prop::sample::select(vec![70_000usize, 3_000_000])).prop_map(|(tag, len)| Field::Giant(tag, len)),
    ];
    leaf.prop_recursive(3, 20, 5, move |inner| {
        (prop_oneof![3u32..6, Just(30), Just(20), Just(10), Just(120)], prop::collection::vec(inner, 0..5))
            .prop_map(|(tag, fields)| Field::Inner(tag, fields))
    })
}

/// One call: unary, or the stream with some messages and an abrupt end.
#[derive(Clone, Debug)]
enum Act {
    Call(&'static str, Vec<Field>),
    Stream(Vec<Vec<Field>>, bool),
}

/// All of the service's calls but the stream; what would end the session that is fuzzed is asked of another id.
const CALLS: &[&str] = &[
    "GetChallenge",
    "CreateSession",
    "GetSessionStatus",
    "ListSessions",
    "GetSessionByHostname",
    "SendInput",
    "SendResize",
    "GetHistory",
    "GetOutput",
    "HealthCheck",
    "RegisterDeviceToken",
    "QueueCommand",
    "HlsGetPlaylist",
    "RelayChunk",
    "Extract",
    "RunAgent",
    "RunAgentStream",
    "SkillRun",
    "SendSignal",
    "CloseSession",
];

fn act() -> impl Strategy<Value = Act> {
    let fields = || prop::collection::vec(field(), 0..6);
    prop_oneof![
        (prop::sample::select(CALLS), fields()).prop_map(|(name, fields)| Act::Call(name, fields)),
        (prop::collection::vec(fields(), 0..6), any::<bool>()).prop_map(|(messages, is_cut)| {
            let opening = vec![Field::Session, Field::Attach];
            // Half of the streams get past the door.
            let messages =
                if messages.len() % 2 == 0 { std::iter::once(opening).chain(messages).collect() } else { messages };
            Act::Stream(messages, is_cut)
        }),
    ]
}

struct Fuzzer {
    channel: Channel,
    key: String,
    session: String,
}

impl Fuzzer {
    fn request<T>(&self, body: T) -> Request<T> {
        let mut request = Request::new(body);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.key).parse().unwrap());
        request
    }

    async fn unary(&self, name: &str, body: Vec<u8>) -> Result<Bytes, Status> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(64 << 20);
        grpc.ready().await.map_err(|err| Status::unavailable(err.to_string()))?;
        let path = format!("/terminal.TerminalStreamingService/{name}").parse().unwrap();
        Ok(grpc.unary(self.request(Bytes::from(body)), path, Raw).await?.into_inner())
    }

    async fn run(&self, act: Act) {
        match act {
            Act::Call(name, fields) => {
                let session = if name == "CloseSession" { "no-session" } else { &self.session };
                // An answer or a refusal, and in time.
                let answered = self.unary(name, message(&fields, session));
                let answered = tokio::time::timeout(std::time::Duration::from_secs(40), answered).await;
                if let Err(status) = answered.unwrap_or_else(|_| panic!("{name} hangs")) {
                    // The transport's own word for bytes that are no message.
                    let is_junk = status.message().contains("decode");
                    assert!(status.code() != Code::Internal || is_junk, "{name}: {status}");
                }
            }
            Act::Stream(messages, is_cut) => {
                let mut grpc = tonic::client::Grpc::new(self.channel.clone());
                grpc.ready().await.unwrap();
                let path = "/terminal.TerminalStreamingService/ConnectTerminal".parse().unwrap();
                let sent: Vec<Bytes> = messages.iter().map(|fields| message(fields, &self.session).into()).collect();
                let call = grpc.streaming(self.request(tokio_stream::iter(sent)), path, Raw);
                if let Ok(replies) = tokio::time::timeout(std::time::Duration::from_secs(40), call).await.unwrap() {
                    let mut replies = replies.into_inner();
                    // Cancelled in the middle, or read to its end: the client has half-closed.
                    while !is_cut && let Ok(Some(_)) = replies.message().await {}
                }
            }
        }
    }
}

#[test]
fn random_messages_in_any_order_leave_a_relay_that_answers() {
    // What is typed at random stays in a shell of another machine than the one that is asked afterwards.
    let world = World::start(Listen::Plain, &["web-one", "web-two"]);
    let cases = std::env::var("FLEETMUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fuzzer = runtime.block_on(async {
        let channel = Endpoint::from_shared(format!("http://{}", world.server)).unwrap().connect().await.unwrap();
        let mut fuzzer = Fuzzer { channel, key: world.key.clone(), session: String::new() };
        let mut by_name = Vec::new();
        block(1, b"web-two", &mut by_name);
        let found = fuzzer.unary("GetSessionByHostname", by_name).await.unwrap();
        // Field 2, 36 characters.
        let at = found.windows(2).position(|pair| pair == [0x12, 36]).unwrap();
        fuzzer.session = String::from_utf8(found[at + 2..at + 38].to_vec()).unwrap();
        fuzzer
    });
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 50, ..Config::default() });
    let outcome = runner.run(&act(), |act| {
        runtime.block_on(fuzzer.run(act));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    world.node("N-EXE-01");
}
