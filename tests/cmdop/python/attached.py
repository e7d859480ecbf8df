"""The attach stream as the SDKs use it."""

import asyncio
import os
import queue
import re
import time
import uuid

import grpc
from kit import (
    Client,
    Code,
    ENV,
    ONE,
    OPTIONS,
    Stream,
    TWO,
    attach,
    case,
    connect,
    fails,
    job,
    pb,
    register,
    rpc,
    until,
)


@case("ATT-01")
def _():
    """By the asynchronous flavour of gRPC, which is the SDK's own."""
    client = Client()
    sid = client.create()

    async def attached():
        async with grpc.aio.insecure_channel(ENV["CASE_SERVER"], options=OPTIONS) as channel:
            call = rpc.TerminalStreamingServiceStub(channel).ConnectTerminal(metadata=client.metadata)
            await call.write(register(sid))
            assert (await call.read()).WhichOneof("payload") == "start_session"
            await call.write(pb.AgentMessage(session_id=sid, output=pb.TerminalOutput(data=b"echo a$((3+4))z\n")))
            out = b""
            while b"a7z" not in out:
                out += (await call.read()).input.data
            await call.done_writing()
            while await call.read() != grpc.aio.EOF:
                pass
            assert await call.code() == Code.OK

    asyncio.run(asyncio.wait_for(attached(), 40))


@case("ATT-02")
def _():
    """The session that a machine has without anybody having made it."""
    client = Client()
    stream = attach(client, client.sid())
    stream.type("echo d$((3+4))f\n")
    stream.shows("d7f")
    stream.cancel()


@case("ATT-03")
def _():
    client = Client()
    stream = attach(client, client.sid())
    stream.type("stty -echo; PS1=; seq -w 1 84300; echo 'e''nd'\n")
    stream.shows("\nend\r\n")
    lines = stream.out.split(b"\r\n")
    first = next(n for n, line in enumerate(lines) if line.endswith(b"00001"))
    assert lines[first + 1 : first + 84300] == [b"%05d" % n for n in range(2, 84301)]
    stream.cancel()


@case("ATT-04")
def _():
    """Two clients see the same bytes."""
    client = Client()
    sid = client.sid()
    both = [attach(client, sid), attach(Client(), sid)]
    both[0].type("stty -echo; PS1=; echo 'be''gin'; seq 1 5000; echo 'e''nd'\n")
    seen = []
    for stream in both:
        stream.shows("\nend\r\n")
        seen.append(bytes(stream.out[stream.out.index(b"begin\r\n") : stream.out.index(b"\nend\r\n")]))
        stream.cancel()
    assert seen[0] == seen[1] and seen[0].count(b"\n") == 5000, len(seen[0])


@case("ATT-05")
def _():
    """Two clients may type."""
    client = Client()
    sid = client.sid()
    a, b = attach(client, sid), attach(Client(), sid)
    for who, other, mark in [(a, b, "a"), (b, a, "b")]:
        who.type(f"echo fr$((0))m-{mark}\n")
        who.shows(f"fr0m-{mark}")
        other.shows(f"fr0m-{mark}")
    a.cancel()
    b.cancel()


@case("ATT-06")
def _():
    client = Client()
    stream = attach(client, client.sid())
    stream.wish("resize:133x44")
    stream.type("stty size\n")
    stream.shows("44 133")
    stream.cancel()


def interrupts(wish):
    client = Client()
    stream = attach(client, client.sid())
    stream.type(job("job"))
    stream.shows("on-job")
    stream.wish(wish)
    stream.type('echo "st=$?"_\n')
    stream.shows("st=130_")
    stream.cancel()


@case("ATT-07")
def _():
    interrupts("signal:2")


@case("ATT-08")
def _():
    client = Client()
    stream = attach(client, client.sid())
    for reason in ["history:100:0", "dance", "", "resize:0x0", "resize:999999x999999", "signal:9999", "signal:", "resize:x"]:
        stream.wish(reason)
    stream.send(heartbeat=pb.HeartbeatUpdate())
    stream.send(ack=pb.CommandAck())
    stream.requests.put(pb.AgentMessage())
    stream.type("stty size; echo st$((1))ll\n")
    stream.shows("st1ll")
    stream.shows("24 80")
    stream.cancel()


@case("ATT-09")
def _():
    """A character that is typed byte by byte."""
    client = Client()
    stream = attach(client, client.sid())
    stream.type("echo g$((0)); cat\n")
    stream.shows("g0")
    for byte in "✓é!\n".encode():
        stream.type(bytes([byte]))
    stream.shows("✓é!\r\n✓é!\r\n")
    stream.cancel()


def prints_between(prints):
    """What a stream brings of what these commands print."""
    client = Client()
    stream = attach(client, client.sid())
    stream.type(f"stty -echo; PS1=; printf 'be''gin'; {prints}; printf 'e''nd'\n")
    stream.shows("end")
    out = bytes(stream.out)
    stream.cancel()
    return out[out.rindex(b"begin") + 5 : out.rindex(b"end")]


@case("ATT-10")
def _():
    """A character that is printed in two parts."""
    assert prints_between("printf '\\342\\234'; sleep 0.2; printf '\\223'") == "✓".encode()


@case("ATT-11")
def _():
    """Bytes that are no text, and NUL."""
    assert prints_between("printf '\\200\\377\\000\\303\\251\\342\\234'") == b"\x80\xff\x00\xc3\xa9\xe2\x9c"


def goes_on_after(leave):
    """A job and its session do, whichever way their client leaves."""
    client = Client()
    sid = client.sid()
    path = f"{ENV['CASE_DIR']}/went-on"
    stream = attach(client, sid)
    stream.type(f"until [ -e {path}.go ]; do sleep 0.02; done; touch {path}\n")
    stream.shows("touch")
    leave(client, stream)
    open(f"{path}.go", "w").close()
    until("the job went on", lambda: os.path.exists(path))
    assert Client().run(sid, "echo alive") == (b"alive", 0)


@case("ATT-12")
def _():
    def detach(_, stream):
        stream.wish("detach")
        assert stream.ended() == Code.OK

    goes_on_after(detach)


@case("ATT-13")
def _():
    goes_on_after(lambda _, stream: stream.cancel())


@case("ATT-14")
def _():
    def drop(client, stream):
        client.channel.close()
        stream.ended()

    goes_on_after(drop)


@case("ATT-15")
def _():
    client = Client()
    sid = client.sid()
    first = attach(client, sid)
    first.type("sh -c 'while :; do n=$((n+1)); echo tick-$n; sleep 0.02; done'\n")
    first.shows("tick-3\r\n")
    first.cancel()
    again = attach(client, sid)
    tick = re.compile(rb"tick-(\d+)\r\n")
    last = int(tick.findall(first.out)[-1])
    until("new ticks", lambda: any(int(n) > last for n in tick.findall(bytes(again.out))))
    again.wish("signal:2")
    again.type("echo st$((1+1))pped\n")
    again.shows("st2pped")
    again.cancel()


@case("ATT-16")
def _():
    start = time.monotonic()
    for unknown in [str(uuid.uuid4()), "no id at all"]:
        stream = Stream(Client(), register(unknown))
        assert stream.ended() == Code.NOT_FOUND and not stream.messages
        assert stream.call.details() == unknown
    assert time.monotonic() - start < 3


@case("ATT-17")
def _():
    client = Client()
    sid = client.create()
    streams = [attach(client, sid), attach(Client(), sid)]
    Client().call("CloseSession", session_id=sid)
    for stream in streams:
        assert stream.ended() == Code.OK and stream.kinds()[-1] == "close_session"
    fails(Code.NOT_FOUND, lambda: client.type(sid, "x"))
    assert Stream(client, register(sid)).ended() == Code.NOT_FOUND


@case("ATT-18")
def _():
    client = Client()
    sid = client.create()
    stream = attach(client, sid)
    stream.type("exit 3\n")
    assert stream.ended() == Code.OK and stream.kinds()[-1] == "close_session"
    until("the session is unknown", lambda: not client.call("GetSessionStatus", session_id=sid).exists)
    fails(Code.NOT_FOUND, lambda: client.type(sid, "x"))


@case("ATT-19")
def _():
    client = Client()
    sid = client.create()
    fast = attach(client, sid)
    slow_channel = grpc.insecure_channel(ENV["CASE_SERVER"], [*OPTIONS, ("grpc.http2.lookahead_bytes", 65536)])
    stub = rpc.TerminalStreamingServiceStub(slow_channel)
    requests = queue.Queue()
    requests.put(register(sid))
    slow = stub.ConnectTerminal(iter(requests.get, None), metadata=client.metadata)
    assert next(slow).WhichOneof("payload") == "start_session"
    fast.type("stty -echo; PS1=; seq -w 1 3300000; echo 'e''nd'\n")
    fast.shows("end\r\n")
    lines = fast.out.split(b"\r\n")
    first = next(n for n, line in enumerate(lines) if line.endswith(b"0000001"))
    assert len(fast.out) > 17_000_000 and lines[first + 1 : first + 3300000] == [b"%07d" % n for n in range(2, 3300001)]
    try:
        for _ in slow:
            pass
        raise AssertionError("the slow reader was never told what it missed")
    except grpc.RpcError as error:
        assert error.code() == Code.RESOURCE_EXHAUSTED, error
    assert client.run(sid, "echo alive") == (b"alive", 0)


@case("ATT-20")
def _():
    client = Client()
    sid = client.sid()
    eight = [attach(client if n % 2 else Client(), sid) for n in range(8)]
    eight[3].type("echo t$((0))all\n")
    for stream in eight:
        stream.shows("t0all")
    for stream in eight:
        stream.cancel()


@case("ATT-21")
def _():
    """Two sessions on one channel, each with its own bytes."""
    client = Client()
    a, b = attach(client, client.sid()), attach(client, client.create())
    a.type("echo wh$((1))ch-a\n")
    b.type("echo wh$((1))ch-b\n")
    a.shows("wh1ch-a")
    b.shows("wh1ch-b")
    assert b"wh1ch-b" not in a.out and b"wh1ch-a" not in b.out
    a.cancel()
    b.cancel()


@case("ATT-22")
def _():
    client = Client()
    sid = client.sid()
    for n in range(50):
        stream = attach(client, sid)
        stream.type("x")
        stream.cancel() if n % 2 else stream.half_close()
    client.type(sid, b"\x15")
    assert client.run(sid, "echo alive") == (b"alive", 0)

    def gone():
        # Only this client's own unary attachments may be left, and none of the streams.
        return client.call("HealthCheck").connected_clients <= 2

    until("nobody is attached any more", gone)


@case("ATT-23")
def _():
    client, mine = Client(route=TWO), str(uuid.uuid4())
    stream = Stream(client, register(mine, "sdk-python-0.1.0"))
    stream.session = mine
    stream.ready()
    stream.type("echo n$((0))w\n")
    stream.shows("n0w")
    assert client.call("GetSessionStatus", session_id=mine).agent_hostname == TWO
    hosts = {row.machine_hostname for row in client.call("ListSessions").sessions}
    assert hosts == {ONE, TWO}, hosts
    stream.cancel()
    stream = Stream(client, register(str(uuid.uuid4()), "2.26.0"))
    assert stream.ended() == Code.INVALID_ARGUMENT


@case("ATT-24")
def _():
    """70 s without a word, by a client that sends the SDKs' keepalives and by one that sends nothing at all."""
    alive = [("grpc.keepalive_time_ms", 30000), ("grpc.keepalive_timeout_ms", 5000),
             ("grpc.keepalive_permit_without_calls", 1), ("grpc.http2.max_pings_without_data", 0)]
    clients = [Client(channel=connect(options=alive)), Client()]
    sid = clients[0].sid()
    clients[0].run(sid, "true")
    streams = [attach(client, sid) for client in clients]
    # The fact waited for is the time itself.
    for _ in range(2):
        time.sleep(25)
        streams[0].send(heartbeat=pb.HeartbeatUpdate())
    time.sleep(20)
    for n, (client, stream) in enumerate(zip(clients, streams)):
        assert not stream.is_over, stream.status
        stream.type(f"echo st$((1))ll-{n}\n")
        for seen in streams:
            seen.shows(f"st1ll-{n}")
        assert client.run(sid, f"echo unary-{n}") == (b"unary-%d" % n, 0)
    for stream in streams:
        stream.cancel()


@case("ATT-25")
def _():
    interrupts("signal:SIGINT")


@case("ATT-26")
def _():
    client = Client()
    sid = client.create(size=pb.TerminalSize(rows=33, cols=111))
    stream = attach(client, sid)
    assert client.run(sid, "stty size") == (b"33 111", 0)
    stream.cancel()
