"""Who gets in, and how far: keys, TLS, passwords, observers, rules, workspaces, and what is written about it."""

import socket
import time
import uuid

import grpc
from kit import (
    BAD,
    Client,
    Code,
    ENV,
    KEY,
    OBSERVER,
    ONE,
    REQUESTS,
    Stream,
    ask,
    attach,
    case,
    connect,
    fails,
    pb,
    register,
    until,
)


ELEVEN = {
    "ListSessions": {},
    "GetSessionByHostname": {"hostname": ONE},
    "GetSessionStatus": {},
    "CreateSession": {},
    "CloseSession": {},
    "SendInput": {"data": b"x"},
    "SendResize": {"cols": 80, "rows": 24},
    "SendSignal": {"signal": 2},
    "GetHistory": {},
    "GetOutput": {},
    "FileRead": {"path": "/etc/hostname"},
    "HealthCheck": {},
    "RunAgent": {},
    "SkillList": {},
    "RegisterDeviceToken": {},
}


@case("AUTH-01")
def _():
    """The relay and no prefix is the judge of a key; the SDK wants `cmdop_`, so keys can be made with it."""
    assert KEY.startswith("cmdop_")
    fails(Code.UNAUTHENTICATED, lambda: Client("cmd_x").call("ListSessions"))
    foreign = ask("key fm_")
    assert foreign.startswith("fm_") and Client(foreign).call("ListSessions").total == 1


@case("AUTH-02")
def _():
    listed = Client().call("ListSessions")
    assert listed.workspace_name == "default" and listed.total == 1 and not listed.error


@case("AUTH-03")
def _():
    start = time.monotonic()
    fails(Code.UNAUTHENTICATED, lambda: Client(BAD).call("ListSessions"))
    assert time.monotonic() - start < 3


@case("AUTH-04")
def _():
    client = Client()
    sid = client.sid()
    client.run(sid, "true")
    start = time.monotonic()
    stream = Stream(Client(BAD), register(sid))
    assert stream.ended() == Code.UNAUTHENTICATED and not stream.messages
    assert time.monotonic() - start < 3


@case("AUTH-05")
def _():
    for authorization in [None, "", "Basic Zm9v", "cmdop_raw", f"Token {KEY}", KEY, "Bearer", "Bearer ", f"Bearer {KEY}x"]:
        client = Client(key=None, authorization=authorization)
        fails(Code.UNAUTHENTICATED, lambda: client.call("ListSessions"))


@case("AUTH-06")
def _():
    sid = Client().sid()
    for authorization in [None, "Basic Zm9v", KEY, f"Bearer {BAD}"]:
        stream = Stream(Client(key=None, authorization=authorization), register(sid))
        assert stream.ended() == Code.UNAUTHENTICATED
        assert not stream.messages


@case("AUTH-07")
def _():
    health = Client().call("HealthCheck")
    assert health.healthy and health.version


@case("AUTH-08")
def _():
    fails(Code.UNAUTHENTICATED, lambda: Client(BAD).call("HealthCheck"))


@case("AUTH-09")
def _():
    sid, client = Client().sid(), Client(BAD)
    for name, fields in ELEVEN.items():
        if "session_id" in REQUESTS[name].DESCRIPTOR.fields_by_name:
            fields = {**fields, "session_id": sid}
        fails(Code.UNAUTHENTICATED, lambda: client.call(name, **fields))


@case("AUTH-10")
def _():
    assert "signed challenges" in fails(Code.UNIMPLEMENTED, lambda: Client().call("GetChallenge"))


@case("NET-01")
def _():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        client = Client(channel=connect(f"127.0.0.1:{closed.getsockname()[1]}"))
        start = time.monotonic()
        fails(Code.UNAVAILABLE, lambda: client.call("ListSessions"))
        assert time.monotonic() - start < 10


@case("NET-02")
def _():
    client = Client()
    calls = [client.stub.ListSessions.future(pb.ListSessionsRequest(), metadata=client.metadata) for _ in range(40)]
    assert all(call.result(30).total == 1 for call in calls)


@case("TLS-01")
def _():
    client = Client()
    assert client.run(client.sid(), "echo $((40+2))") == (b"42", 0)


@case("TLS-02")
def _():
    client = Client()
    stream = attach(client, client.sid())
    stream.type("echo t$((1+1))s\n")
    stream.shows("t2s")
    stream.cancel()


def has_no_way_in(client):
    """No answer, and no waiting for one."""
    start = time.monotonic()
    fails(Code.UNAVAILABLE, lambda: client.call("ListSessions"))
    assert Stream(client, register(str(uuid.uuid4()))).ended() == Code.UNAVAILABLE
    assert time.monotonic() - start < 10


@case("TLS-03")
def _():
    has_no_way_in(Client())


@case("TLS-04")
def _():
    has_no_way_in(Client(channel=connect(is_tls=False)))


@case("TLS-05")
def _():
    has_no_way_in(Client(channel=connect(ENV["CASE_PLAIN"])))


@case("PWD-01")
def _():
    ask(f"password {ONE}")
    client = Client()
    sid = client.sid()
    fails(Code.PERMISSION_DENIED, lambda: client.type(sid, "x"))
    stream = Stream(client, register(sid))
    stream.session = sid
    challenge = until("a challenge", lambda: stream.has("auth_challenge")).auth_challenge
    assert list(challenge.methods) == ["password"] and stream.kinds() == ["auth_challenge"]
    stream.send(auth_response=pb.AuthResponse(challenge_id=challenge.challenge_id, password=ENV["CASE_PASSWORD"]))
    stream.ready()
    success = stream.has("auth_success").auth_success
    assert success.challenge_id == challenge.challenge_id and success.ttl_seconds > 0
    assert stream.kinds()[:3] == ["auth_challenge", "auth_success", "start_session"]
    holder = Client(token=success.session_token)
    assert holder.run(sid, "echo in") == (b"in", 0)
    fails(Code.PERMISSION_DENIED, lambda: client.type(sid, "x"))
    fails(Code.PERMISSION_DENIED, lambda: Client(OBSERVER, token=success.session_token).output(sid))
    stream.cancel()
    ask(f"no-password {ONE}")

    def is_free():
        try:
            return client.call("SendInput", session_id=sid, data=b"").success
        except grpc.RpcError as error:
            assert error.code() == Code.PERMISSION_DENIED, error
            return False

    until("no password is asked for", is_free)


@case("PWD-02")
def _():
    ask(f"password {ONE}")
    client = Client()
    sid = client.sid()
    for password in ["wrong password", ""]:
        stream = Stream(client, register(sid))
        challenge = until("a challenge", lambda: stream.has("auth_challenge")).auth_challenge
        stream.send(auth_response=pb.AuthResponse(challenge_id=challenge.challenge_id, password=password))
        assert stream.ended() == Code.UNAUTHENTICATED and stream.kinds() == ["auth_challenge"]
    fails(Code.PERMISSION_DENIED, lambda: client.type(sid, "x"))
    fails(Code.PERMISSION_DENIED, lambda: client.output(sid))


@case("PWD-03")
def _():
    ask(f"password {ONE}")
    client = Client()
    stream = Stream(client, register(client.sid()))
    until("a challenge", lambda: stream.has("auth_challenge"))
    stream.half_close()
    stream.ended()
    assert stream.kinds() == ["auth_challenge"]


@case("OBS-01")
def _():
    looks = Client(OBSERVER)
    listed = looks.call("ListSessions")
    assert [row.machine_hostname for row in listed.sessions] == [ONE] and listed.workspace_name == "default"
    assert looks.sid() == listed.sessions[0].session_id == Client().sid()
    assert looks.call("GetSessionStatus", session_id=looks.sid()).agent_hostname == ONE


@case("OBS-02")
def _():
    client, looks = Client(), Client(OBSERVER)
    sid = client.sid()
    assert Stream(looks, register(sid)).ended() == Code.FAILED_PRECONDITION, "it was never started"
    client.run(sid, "true")
    stream = attach(looks, sid)
    client.type(sid, "echo l$((0))ok\n")
    stream.shows("l0ok")
    stream.cancel()


@case("OBS-03")
def _():
    """What an observer types or signals is refused, and heard of: the stream ends with it. Its size is no matter."""
    client, looks = Client(), Client(OBSERVER)
    sid = client.sid()
    client.run(sid, "true")
    for act in (lambda stream: stream.type("echo ty$((1))ed\n"), lambda stream: stream.wish("signal:9")):
        stream = attach(looks, sid)
        stream.wish("resize:50x20")
        client.type(sid, "stty size\n")
        stream.shows("24 80")
        act(stream)
        assert stream.ended() == Code.PERMISSION_DENIED
        assert b"ty1ed" not in stream.out
    client.run(sid, "true")


@case("OBS-05")
def _():
    """A key that may drive observes with `observe:` before the session's id."""
    client = Client()
    sid = client.sid()
    client.run(sid, "true")
    stream = attach(client, "observe:" + sid)
    assert client.call("GetSessionStatus", session_id="observe:" + sid).exists
    client.type(sid, "echo l$((0))ok\n")
    stream.shows("l0ok")
    stream.type("echo ty$((1))ed\n")
    assert stream.ended() == Code.PERMISSION_DENIED and b"ty1ed" not in stream.out
    fails(Code.NOT_FOUND, lambda: client.call("SendInput", session_id="observe:" + sid, data=b"x"))


@case("OBS-04")
def _():
    client, looks = Client(), Client(OBSERVER)
    sid = client.sid()
    client.run(sid, "echo se$((1))n")
    writes = {"SendInput": {"data": b"x"}, "SendResize": {"cols": 80, "rows": 24}, "SendSignal": {"signal": 2}, "CloseSession": {}}
    for name, fields in writes.items():
        fails(Code.PERMISSION_DENIED, lambda: looks.call(name, session_id=sid, **fields))
    fails(Code.PERMISSION_DENIED, looks.create)
    assert b"se1n" in looks.output(sid).data


@case("PRM-01")
def _():
    """The machine's own rules hold for SDK clients, from the next call on."""
    client = Client()
    sid = client.sid()
    client.run(sid, "true")
    ask(f"deny {ONE} key:cases drive")

    def is_denied(call):
        try:
            call()
            return False
        except grpc.RpcError as error:
            assert error.code() == Code.PERMISSION_DENIED and "rule 1" in error.details(), error
            return True

    until("driving is denied", lambda: is_denied(lambda: client.type(sid, "")))
    assert client.output(sid).data, "watching is not"
    stream = attach(client, sid)
    stream.type("echo ty$((1))ed\n")
    fails(Code.PERMISSION_DENIED, lambda: client.call("CloseSession", session_id=sid))
    assert b"ty1ed" not in client.output(sid).data
    stream.cancel()
    ask(f"deny {ONE} key:cases observe")
    until("watching is denied", lambda: is_denied(lambda: client.output(sid)))
    assert Stream(client, register(sid)).ended() == Code.PERMISSION_DENIED


@case("WSP-01")
def _():
    """A key of another workspace sees nothing of this one."""
    client, other = Client(), Client(ENV["CASE_OTHER"])
    sid = client.sid()
    client.run(sid, "true")
    assert other.call("ListSessions").total == 0
    assert not other.call("GetSessionByHostname", hostname=ONE).found
    assert not other.call("GetSessionStatus", session_id=sid).exists
    for name, fields in {"SendInput": {"data": b"x"}, "GetOutput": {}, "SendSignal": {"signal": 2}, "CloseSession": {}}.items():
        assert fails(Code.NOT_FOUND, lambda: other.call(name, session_id=sid, **fields)) == sid
    assert Stream(other, register(sid)).ended() == Code.NOT_FOUND
    fails(Code.NOT_FOUND, Client(ENV["CASE_OTHER"], route=ONE).create)


@case("AUD-01")
def _():
    """What SDK clients do is in the audit log, by the key's name, and what they typed is not."""
    client = Client()
    sid = client.create()
    stream = attach(client, sid)
    stream.type("echo typed-$((1))\n")
    stream.shows("typed-1")
    stream.cancel()
    client.call("CloseSession", session_id=sid)
    fails(Code.UNAUTHENTICATED, lambda: Client(BAD).call("HealthCheck"))
    # What was done, and what was refused.
    log = lambda: "".join(open(f"{ENV['CASE_DIR']}/{name}", encoding="utf-8").read() for name in ["audit.jsonl", "audit-refused.jsonl"])
    for event in ["session_create", "attach", "session_destroy", "key_used"]:
        line = until(event, lambda: [line for line in log().splitlines() if f'"event":"{event}"' in line])[-1]
        assert '"principal":"key:cases"' in line, line
    until("auth_failed", lambda: '"event":"auth_failed"' in log())
    assert "typed" not in log() and KEY not in log() and BAD not in log()
