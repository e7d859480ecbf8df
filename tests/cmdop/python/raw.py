"""The attach stream and the calls as no SDK uses them."""

import hashlib
import time
import uuid

from kit import BAD, CASES, Client, Code, Stream, attach, case, fails, pb, register


@case("RAW-01")
def _():
    client = Client()
    stream = attach(client, client.sid())
    start = time.monotonic()
    stream.half_close()
    assert stream.ended() == Code.OK and time.monotonic() - start < 3


@case("RAW-02")
def _():
    client = Client()
    sid = client.sid()
    client.run(sid, "true")
    for first in [pb.AgentMessage(session_id=sid, output=pb.TerminalOutput(data=b"echo ty$((1))ed\n")), pb.AgentMessage()]:
        stream = Stream(client, first)
        assert stream.ended() == Code.INVALID_ARGUMENT
    client.run(sid, "true")
    assert b"ty1ed" not in client.output(sid).data


@case("RAW-03")
def _():
    CASES["ATT-08"]()


@case("RAW-04")
def _():
    client = Client()
    sid = client.create()
    stream = attach(client, sid)
    client.call("CloseSession", session_id=sid, reason="done", force=True)
    assert stream.ended() == Code.OK
    assert stream.kinds()[-1] == "close_session" and stream.messages[-1].close_session.reason


@case("RAW-05")
def _():
    client = Client()
    sid = client.sid()
    client.run(sid, "seq 1 2000")
    stream = attach(client, sid)
    assert stream.kinds()[0] == "start_session"
    stream.cancel()


@case("RAW-06")
def _():
    stream = Stream(Client(BAD), register(Client().sid()))
    assert stream.ended() == Code.UNAUTHENTICATED


@case("RAW-07")
def _():
    client = Client()
    method = client.channel.unary_unary("/terminal.TerminalStreamingService/Dance")
    fails(Code.UNIMPLEMENTED, lambda: method(b"", metadata=client.metadata, timeout=10))
    for name in ["RegisterDeviceToken", "EnterBackground", "QueueCommand", "HlsGetPlaylist", "InitiateStreamingRelay",
                 "SendPushNotification", "Extract", "RunAgent", "CancelAgent", "SkillList", "SkillShow", "SkillRun"]:
        details = fails(Code.UNIMPLEMENTED, lambda: client.call(name))
        assert details.startswith("a fleetmux relay does not offer "), details


@case("RAW-08")
def _():
    for route in ["nobody-is-called-so", str(uuid.uuid4())]:
        fails(Code.NOT_FOUND, lambda: Client(route=route).create())


@case("RAW-09")
def _():
    client = Client()
    sid = client.create()
    assert client.call("SendInput", session_id=sid, data=b"").success
    assert client.call("SendResize", session_id=sid, cols=90, rows=30).success
    assert client.call("SendSignal", session_id=sid, signal=18).success
    assert client.call("CloseSession", session_id=sid).success


@case("RAW-10")
def _():
    """A stream that says nothing is ended."""
    stream = Stream(Client())
    assert stream.ended(30) == Code.INVALID_ARGUMENT


@case("RAW-11")
def _():
    """A request of 32 MB is taken."""
    client = Client()
    sid = client.create()
    client.type(sid, "stty raw -echo; echo r\"ead\"y; head -c 32000000 | sha256sum; stty sane\n")
    client.shows(sid, "ready")
    data = b"0123456789abcdef" * 2_000_000
    client.type(sid, data)
    client.shows(sid, hashlib.sha256(data).hexdigest())
