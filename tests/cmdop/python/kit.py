"""What the cases share: a client, a stream, and how to wait for a fact."""

import os
import queue
import re
import sys
import threading
import time
import uuid

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
    word, _, answer = sys.stdin.readline().strip().partition(" ")
    assert word == "ok"
    return answer


def until(what, holds, seconds=40):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"never: {what}")


def connect(server=None, is_tls=ENV.get("CASE_TLS") == "1", options=()):
    """A channel to the relay of the case, in the way that it is served."""
    server = server or ENV["CASE_SERVER"]
    if is_tls:
        return grpc.secure_channel(server, grpc.ssl_channel_credentials(), [*OPTIONS, *options])
    return grpc.insecure_channel(server, [*OPTIONS, *options])


class Client:
    """What both SDKs are below their own words: metadata and a stub."""

    def __init__(self, key=KEY, authorization=None, route=None, token=None, channel=None):
        self.channel = channel or connect()
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
                said = data[: end.start()].rsplit(start, 1)[1].split(b"\n")
                # Among it the terminal may echo another command that was typed meanwhile.
                return b"\n".join(line for line in said if b"<<CMD:" not in line).strip(b"\n"), int(end.group(1))
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


def job(mark):
    """A foreground job that says when it runs."""
    return f"sh -c 'echo on-\"$0\"; exec sleep 1000' {mark}\n"


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
