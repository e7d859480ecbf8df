"""Cases that the published Node SDK has no call for, by Python's gRPC and stubs made from our proto: `cases.py ID`.

The names are the wire contract's. A case that needs something done to the fleet prints `ask WORDS` and reads `ok`.
"""

import hashlib
import os
import queue
import re
import sys
import threading
import time
import uuid

import files
import grpc
import terminal_pb2 as pb
import terminal_pb2_grpc as rpc

ENV = os.environ
ONE, TWO = ENV["CASE_ONE"], ENV["CASE_TWO"]
KEY, OBSERVER = ENV["CASE_KEY"], ENV["CASE_OBSERVER"]
BAD = "cmdop_" + "x" * 43
Code = grpc.StatusCode
OPTIONS = [("grpc.max_send_message_length", 50 << 20), ("grpc.max_receive_message_length", 50 << 20)]


def ask(words):
    print("ask", words, flush=True)
    assert sys.stdin.readline().strip() == "ok"


def until(what, holds, seconds=40):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"never: {what}")


class Client:
    """What both SDKs are below their own words: metadata and a stub."""

    def __init__(self, key=KEY, authorization=None, route=None, token=None):
        self.channel = grpc.insecure_channel(ENV["CASE_SERVER"], OPTIONS)
        self.stub = rpc.TerminalStreamingServiceStub(self.channel)
        self.metadata = []
        if authorization is None and key:
            authorization = f"Bearer {key}"
        if authorization:
            self.metadata.append(("authorization", authorization))
        if route:
            self.metadata.append(("x-cmdop-agent-id", route))
        if token:
            self.metadata.append(("x-session-token", token))

    def call(self, name, timeout=30, **fields):
        method = getattr(self.stub, name)
        request = REQUESTS[name](**fields)
        return method(request, metadata=self.metadata, timeout=timeout)

    def sid(self, host=ONE):
        found = self.call("GetSessionByHostname", hostname=host, partial_match=True)
        assert found.found, found
        return found.session_id

    def create(self, **config):
        made = self.call("CreateSession", config=pb.SessionConfig(**config))
        assert made.success and made.session_id
        return made.session_id

    def type(self, sid, text):
        data = text if isinstance(text, bytes) else text.encode()
        assert self.call("SendInput", session_id=sid, data=data).success

    def output(self, sid, offset=0, limit=0):
        return self.call("GetOutput", session_id=sid, offset=offset, limit=limit)

    def shows(self, sid, text, limit=200000):
        text = text.encode() if isinstance(text, str) else text
        return until(text, lambda: text in self.output(sid, 0, limit).data)

    def run(self, sid, command, seconds=30):
        """The protocol of the SDKs' `execute`."""
        mark = uuid.uuid4().hex[:12]
        line = (
            f"printf '\\n<<CMD:{mark}:START>>\\n'; {command}; printf '\\n<<CMD:{mark}:END:%d>>\\n' $?\n"
        )
        self.type(sid, line)
        ends = re.compile(rb"<<CMD:%s:END:(\d+)>>" % mark.encode())
        start = b"\n<<CMD:%s:START>>" % mark.encode()

        def done():
            data = self.output(sid, 0, 20480).data.replace(b"\r", b"")
            end = ends.search(data)
            if end and start in data[: end.start()]:
                return data[: end.start()].rsplit(start, 1)[1].strip(b"\n"), int(end.group(1))
            return None

        return until(f"{command[:60]} is done", done, seconds)



REQUESTS = {
    method.name: getattr(pb, method.input_type.name)
    for method in pb.DESCRIPTOR.services_by_name["TerminalStreamingService"].methods
}


def fails(code, call):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()}: {error.details()}"
        return error.details()
    raise AssertionError(f"{code} was expected, and nothing failed")


class Stream:
    """One ConnectTerminal call."""

    def __init__(self, client, first=None, **register):
        self.requests = queue.Queue()
        self.messages, self.out, self.status, self.is_over = [], bytearray(), None, False
        self.session = None
        if first is not None:
            self.requests.put(first)
        call = client.stub.ConnectTerminal(iter(self.requests.get, None), metadata=client.metadata)
        self.call = call
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for message in self.call:
                self.messages.append(message)
                if message.WhichOneof("payload") == "input":
                    self.out += message.input.data
        except grpc.RpcError:
            pass
        self.status = self.call.code()
        self.is_over = True

    def kinds(self):
        return [message.WhichOneof("payload") for message in list(self.messages)]

    def has(self, kind):
        return next((m for m in list(self.messages) if m.WhichOneof("payload") == kind), None)

    def ready(self):
        until("the stream is ready", lambda: self.has("start_session") or self.is_over)
        assert self.has("start_session"), self.status
        return self

    def shows(self, text):
        text = text.encode() if isinstance(text, str) else text
        seen = 0

        def is_there():
            nonlocal seen
            end = len(self.out)
            found = self.out.find(text, max(0, seen - len(text)))
            seen = end
            return found >= 0

        until(f"{text} arrives", lambda: is_there() or self.is_over)
        assert text in self.out, (self.status, self.out[-500:])

    def ended(self, seconds=40):
        until("the stream ends", lambda: self.is_over, seconds)
        return self.status

    def send(self, **payload):
        self.requests.put(pb.AgentMessage(session_id=self.session or "", **payload))

    def type(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        self.send(output=pb.TerminalOutput(data=data))

    def wish(self, reason):
        self.send(status=pb.StatusUpdate(reason=reason))

    def half_close(self):
        self.requests.put(None)

    def cancel(self):
        self.call.cancel()
        self.ended()


def register(sid, version="sdk-python-0.1.0-attach"):
    size = pb.TerminalSize(rows=24, cols=80)
    return pb.AgentMessage(
        session_id=sid, register=pb.RegisterRequest(version=version, hostname="sdk-host", initial_size=size)
    )


def attach(client, sid):
    stream = Stream(client, register(sid))
    stream.session = sid
    return stream.ready()


CASES = {}


def case(name):
    def add(function):
        CASES[name] = function
        return function

    return add


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


@case("NET-02")
def _():
    client = Client()
    calls = [client.stub.ListSessions.future(pb.ListSessionsRequest(), metadata=client.metadata) for _ in range(40)]
    assert all(call.result(30).total == 1 for call in calls)


@case("SES-05")
def _():
    listed = Client().call("ListSessions", status_filter="connected", limit=1)
    assert len(listed.sessions) == 1 and listed.total == 2 and listed.workspace_name == "default"
    row = listed.sessions[0]
    assert row.has_shell and row.heartbeat_age_seconds < 60 and row.os == "linux" and row.agent_version


@case("SES-11")
def _():
    found = Client().call("GetSessionByHostname", hostname="nobody-is-called-so", partial_match=True)
    assert not found.found and not found.ambiguous and found.error


@case("SES-12")
def _():
    found = Client().call("GetSessionByHostname", hostname="web-", partial_match=True)
    assert not found.found and found.ambiguous and found.matches_count == 2 and not found.session_id


@case("SES-13")
def _():
    found = Client().call("GetSessionByHostname", hostname="", partial_match=True)
    assert not found.found


@case("SES-14")
def _():
    a, b = Client(), Client()
    sid = a.sid()
    assert b.sid() == sid
    a.run(sid, "KEPT=shared; cd /usr/bin")
    assert b.run(sid, "echo $KEPT; pwd") == (b"shared\n/usr/bin", 0)


@case("SES-16")
def _():
    client = Client()
    sid = client.sid()
    status = client.call("GetSessionStatus", session_id=sid)
    assert status.exists and status.status == pb.CONNECTED and status.agent_hostname == ONE
    for unknown in [str(uuid.uuid4()), "", "no id at all"]:
        assert not client.call("GetSessionStatus", session_id=unknown).exists


@case("SES-17")
def _():
    sid = Client().sid()
    client = Client(route=sid)
    client.type("", "echo r$((1))uted\n")
    client.shows(sid, "r1uted")


@case("SES-18")
def _():
    client = Client()
    one, two = client.sid(ONE), client.sid(TWO)
    assert one != two
    client.run(one, "WHERE=one")
    assert client.run(two, "echo is-$WHERE") == (b"is-", 0)


@case("SES-21")
def _():
    """A default session that has ended is followed by another."""
    client = Client()
    sid = client.sid()
    client.run(sid, "true")
    client.call("CloseSession", session_id=sid)
    fails(Code.NOT_FOUND, lambda: client.type(sid, "x"))
    other = client.sid()
    assert other != sid
    assert client.run(other, "echo next") == (b"next", 0)


@case("CRE-03")
def _():
    two = Client().sid(TWO)
    for route in [two, TWO, TWO.upper()]:
        client = Client(route=route)
        if route == TWO.upper():
            fails(Code.NOT_FOUND, client.create)
            continue
        assert client.call("GetSessionStatus", session_id=client.create()).agent_hostname == TWO


@case("CRE-05")
def _():
    unknown = str(uuid.uuid4())
    assert fails(Code.NOT_FOUND, lambda: Client().call("CloseSession", session_id=unknown)) == unknown


@case("CRE-08")
def _():
    fails(Code.FAILED_PRECONDITION, Client().create)


@case("CRE-09")
def _():
    fails(Code.FAILED_PRECONDITION, lambda: Client().type("", "x"))
    fails(Code.NOT_FOUND, Client(route="nobody-is-called-so").create)


@case("EXE-06")
def _():
    client = Client()
    sid = client.sid()
    assert client.run(sid, "printf 'h\\303\\251llo \\342\\234\\223'") == ("héllo ✓".encode(), 0)
    assert client.run(sid, "echo 'ünï→'") == ("ünï→".encode(), 0)


@case("EXE-11")
def _():
    client = Client()
    sid = client.sid()
    data, code = client.run(sid, "seq -w 1 28000")
    assert code == 0 and data.count(b"\n") == 27999


@case("EXE-15")
def _():
    client = Client()
    sid = client.sid()
    client.type(sid, "seq 1 1000000000\n")
    client.shows(sid, "999")
    for _ in range(10):
        start = time.monotonic()
        assert client.output(sid, 0, 20480).data
        assert time.monotonic() - start < 1
    client.call("SendSignal", session_id=sid, signal=2)
    assert client.run(sid, "echo quiet") == (b"quiet", 0)


@case("OUT-01")
def _():
    client = Client()
    sid = client.create()
    client.type(sid, "stty -echo; PS1=; seq -w 1 3000; echo 'e''nd'; exec sleep 1000\n")
    client.shows(sid, "end\r\n")
    whole = client.output(sid)
    assert len(whole.data) == whole.total_bytes and not whole.has_more
    assert client.output(sid, 0, 100).data == whole.data[-100:]
    assert client.output(sid, 50, 0).data == whole.data[50:]
    part = client.output(sid, 50, 70)
    assert part.data == whole.data[50:120] and part.has_more
    past = client.output(sid, whole.total_bytes + 5, 10)
    assert not past.data and not past.has_more and past.total_bytes == whole.total_bytes
    pages, at = b"", 1
    while at < whole.total_bytes:
        page = client.output(sid, at, 1000).data
        pages, at = pages + page, at + len(page)
    assert pages == whole.data[1:]
    assert client.output(sid).data == whole.data, "reading does not consume"


@case("OUT-06")
def _():
    client = Client()
    sid = client.create()
    client.type(sid, "stty -echo; PS1=; seq -w 1 1100000; echo 'e''nd'; exec sleep 1000\n")
    client.shows(sid, "end\r\n", 100)
    whole = client.output(sid)
    assert whole.total_bytes > 8_000_000 and len(whole.data) <= 1 << 20 and whole.has_more
    assert client.output(sid, whole.total_bytes - 5).data == b"end\r\n"
    data, at = b"", whole.total_bytes - (3 << 20)
    while True:
        page = client.output(sid, at)
        data, at = data + page.data, at + len(page.data)
        if not page.has_more:
            break
    assert len(data) == 3 << 20, "the newest four MiB are there"


@case("IO-08")
def _():
    client = Client()
    sid = client.create()
    client.type(sid, "stty raw -echo; echo r\"ead\"y; head -c 8 | od -An -tx1; stty sane\n")
    client.shows(sid, "ready")
    client.type(sid, bytes([0x00, 0x01, 0x7F, 0x80, 0xFF, 0x1B, 0x03, 0x04]))
    client.shows(sid, "00 01 7f 80 ff 1b 03 04")


@case("IO-09")
def _():
    client = Client()
    sid = client.sid()
    client.type(sid, "sh -c 'echo on-\"$0\"; exec sleep 1000' job\n")
    client.shows(sid, "on-job")
    client.type(sid, b"\x03")
    client.type(sid, 'echo "st=$?"_\n')
    client.shows(sid, "st=130_")


@case("IO-10")
def _():
    client = Client()
    sid = client.create()
    data = os.urandom(48 * 1024).hex()[: 64 * 1024].encode()
    client.type(sid, "stty raw -echo; echo r\"ead\"y; head -c 65536 | sha256sum; stty sane\n")
    client.shows(sid, "ready")
    client.type(sid, data)
    client.shows(sid, hashlib.sha256(data).hexdigest())


@case("IO-13")
def _():
    client = Client()
    sid = client.create()
    client.type(sid, "stty -echo; PS1=; echo r\"ead\"y\n")
    client.shows(sid, "ready")
    for n in range(31):
        client.type(sid, f"echo line-{n}\n")
    client.shows(sid, "line-30\r\n")
    found = re.findall(rb"line-(\d+)", client.output(sid).data)
    assert [int(n) for n in found] == list(range(31)), found


@case("IO-14")
def _():
    client = Client()
    sid = client.sid()
    fails(Code.INVALID_ARGUMENT, lambda: client.call("SendSignal", session_id=sid, signal=9999))
    for cols, rows in [(0, 0), (-1, 5), (999999, 999999)]:
        fails(Code.INVALID_ARGUMENT, lambda: client.call("SendResize", session_id=sid, cols=cols, rows=rows))
    assert client.run(sid, "echo alive") == (b"alive", 0)


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


@case("ATT-12")
def _():
    for leave in ["detach", "cancel", "drop"]:
        client = Client()
        sid = client.sid()
        path = f"{ENV['CASE_DIR']}/went-on-{leave}"
        stream = attach(client, sid)
        stream.type(f"until [ -e {path}.go ]; do sleep 0.02; done; touch {path}\n")
        stream.shows("touch")
        if leave == "detach":
            stream.wish("detach")
            assert stream.ended() == Code.OK
        elif leave == "cancel":
            stream.cancel()
        else:
            client.channel.close()
            stream.ended()
        open(f"{path}.go", "w").close()
        until("the job went on", lambda: os.path.exists(path))
        assert Client().run(sid, "echo alive") == (b"alive", 0)


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


@case("ATT-26")
def _():
    client = Client()
    sid = client.create(size=pb.TerminalSize(rows=33, cols=111))
    stream = attach(client, sid)
    assert client.run(sid, "stty size") == (b"33 111", 0)
    stream.cancel()


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


@case("PWD-03")
def _():
    ask(f"password {ONE}")
    client = Client()
    stream = Stream(client, register(client.sid()))
    until("a challenge", lambda: stream.has("auth_challenge"))
    stream.half_close()
    stream.ended()
    assert stream.kinds() == ["auth_challenge"]


@case("OBS-02")
def _():
    client, looks = Client(), Client(OBSERVER)
    sid = client.sid()
    assert Stream(looks, register(sid)).ended() == Code.FAILED_PRECONDITION, "it was never started"
    client.run(sid, "true")
    stream = attach(looks, sid)
    stream.type("echo ty$((1))ed\n")
    stream.wish("resize:50x20")
    stream.wish("signal:9")
    client.type(sid, "echo l$((0))ok; stty size\n")
    stream.shows("l0ok")
    stream.shows("24 80")
    assert b"ty1ed" not in stream.out
    stream.cancel()


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
    log = lambda: open(f"{ENV['CASE_DIR']}/audit.jsonl", encoding="utf-8").read()
    for event in ["session_create", "attach", "session_destroy", "key_used"]:
        line = until(event, lambda: [line for line in log().splitlines() if f'"event":"{event}"' in line])[-1]
        assert '"principal":"key:cases"' in line, line
    until("auth_failed", lambda: '"event":"auth_failed"' in log())
    assert "typed" not in log() and KEY not in log() and BAD not in log()


@case("LOC-01")
def _():
    """Python's local mode: a loopback port and a token, found in the discovery file."""
    import json

    with open(f"{ENV['XDG_RUNTIME_DIR']}/cmdop/agent.info", encoding="utf-8") as file:
        info = json.load(file)
    assert info["transport"] == "tcp" and info["version"] and info["started_at"]
    os.kill(info["pid"], 0)
    path = os.path.expanduser(info["token_path"])
    assert os.stat(path).st_mode & 0o777 == 0o600
    token = open(path, encoding="utf-8").read().strip()
    assert len(token) >= 32
    ENV["CASE_SERVER"] = info["address"]
    client = Client(token)
    assert client.call("HealthCheck").healthy
    assert Client(key=None).call("HealthCheck").healthy, "Node pings without a token"
    fails(Code.UNAUTHENTICATED, lambda: Client(key=None).create())
    fails(Code.UNAUTHENTICATED, lambda: Client(BAD).create())
    assert client.run(client.create(), "echo local") == (b"local", 0)


files.add(case, Client, fails)


if __name__ == "__main__":
    if sys.argv[1] == "--list":
        print("\n".join(CASES))
        sys.exit(0)
    CASES[sys.argv[1]]()
    sys.stdout.flush()
    os._exit(0)
