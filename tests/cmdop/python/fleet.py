"""Local mode, and agents and relays that go and come back."""

import json
import os

import grpc
from kit import BAD, Client, Code, ENV, ONE, Stream, ask, attach, case, fails, register, until


def local():
    """What the discovery file says, and the token beside it; calls go there from now on."""
    with open(f"{ENV['XDG_RUNTIME_DIR']}/cmdop/agent.info", encoding="utf-8") as file:
        info = json.load(file)
    ENV["CASE_SERVER"] = info["address"]
    path = os.path.expanduser(info["token_path"])
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path, encoding="utf-8") as file:
        return info, file.read().strip()


@case("LOC-01")
def _():
    """Python's local mode: a loopback port and a token, found in the discovery file."""
    info, token = local()
    assert info["transport"] == "tcp" and info["version"] and info["started_at"]
    os.kill(info["pid"], 0)
    assert len(token) >= 32
    client = Client(token)
    assert client.call("HealthCheck").healthy
    assert Client(key=None).call("HealthCheck").healthy, "Node pings without a token"
    fails(Code.UNAUTHENTICATED, lambda: Client(key=None).create())
    fails(Code.UNAUTHENTICATED, lambda: Client(BAD).create())
    assert client.run(client.create(), "echo local") == (b"local", 0)
    path = f"{ENV['CASE_DIR']}/local.txt"
    assert client.call("FileWrite", path=path, content=b"local").result.bytes_written == 5
    assert client.call("FileRead", session_id="local", path=path).result.content == b"local"


@case("LOC-02")
def _():
    """The SDK refuses to stream in local mode; the relay lets whoever has the token, and nobody else."""
    _, token = local()
    client = Client(token)
    sid = client.create()
    stream = attach(client, sid)
    stream.type("echo l$((0))cal\n")
    stream.shows("l0cal")
    stream.cancel()
    for stranger in [Client(key=None), Client(BAD)]:
        assert Stream(stranger, register(sid)).ended() == Code.UNAUTHENTICATED


@case("LOC-03")
def _():
    """A killed server leaves a file that names nobody; the next one writes over it."""
    info, token = local()
    ask("kill-server")
    try:
        os.kill(info["pid"], 0)
        raise AssertionError("it lives")
    except ProcessLookupError:
        pass
    assert local() == (info, token), "nobody was there to remove it"
    fails(Code.UNAVAILABLE, lambda: Client(token).call("HealthCheck"))
    ask("start-server")
    found, fresh = local()
    assert found["pid"] != info["pid"] and fresh != token
    os.kill(found["pid"], 0)
    client = Client(fresh)
    assert client.run(client.create(), "echo again") == (b"again", 0)
    fails(Code.UNAUTHENTICATED, lambda: Client(token).create())


def begun():
    """A client, its session that remembers something, and a stream into it."""
    client = Client()
    sid = client.sid()
    stream = attach(client, sid)
    stream.type("KEPT=yes; echo s$((3))t\n")
    stream.shows("s3t")
    return client, sid, stream


def remembers(client, sid):
    assert client.run(sid, "echo $KEPT") == (b"yes", 0)
    again = attach(client, sid)
    again.type("echo ag$((4))in\n")
    again.shows("ag4in")
    again.cancel()


@case("OFF-01")
def _():
    client, sid, stream = begun()
    ask(f"stop-agent {ONE}")
    assert stream.ended() == Code.UNAVAILABLE
    fails(Code.UNAVAILABLE, lambda: client.type(sid, "x"))
    assert client.call("ListSessions", status_filter="connected").total == 0
    ask(f"start-agent {ONE}")
    assert client.sid() == sid
    remembers(client, sid)


@case("REL-01")
def _():
    client, sid, stream = begun()
    ask("restart-relay")
    assert stream.ended() == Code.UNAVAILABLE

    def is_back():
        try:
            return client.call("GetSessionByHostname", hostname=ONE).found
        except grpc.RpcError as error:
            assert error.code() == Code.UNAVAILABLE, error
            return False

    until("the machine is back", is_back)
    assert client.sid() == sid
    remembers(client, sid)
