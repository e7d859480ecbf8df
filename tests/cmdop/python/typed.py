"""Input, sizes, signals and history by single calls."""

import hashlib
import os
import re
import signal
import uuid

from kit import Client, Code, OBSERVER, case, fails, job, until


@case("IO-01")
def _():
    client = Client()
    sid = client.sid()
    client.type(sid, "echo s$((1+1))r\n")
    client.shows(sid, "s2r")
    client.type(sid, b"echo b$((2+2))s\n")
    client.shows(sid, "b4s")


@case("IO-02")
def _():
    client = Client()
    sid = client.sid()
    assert client.call("SendResize", session_id=sid, cols=120, rows=40).success
    assert client.run(sid, "stty size") == (b"40 120", 0)


def statuses(*signals):
    """What the shell saw of a foreground job after each signal; it is there afterwards."""
    client = Client()
    sid = client.sid()
    for number in signals:
        mark = uuid.uuid4().hex[:8]
        client.type(sid, job(mark))
        client.shows(sid, f"on-{mark}")
        assert client.call("SendSignal", session_id=sid, signal=number).success
        client.type(sid, f'echo "{mark}=$?"_\n')
        ended = re.compile(rb"%s=(\d+)_" % mark.encode())
        yield int(until("the job has ended", lambda: ended.search(client.output(sid).data))[1])
    assert client.run(sid, "echo alive") == (b"alive", 0)


@case("IO-03")
def _():
    assert list(statuses(signal.SIGINT)) == [130]


@case("IO-04")
def _():
    assert list(statuses(signal.SIGTERM)) == [143]


@case("IO-05")
def _():
    assert list(statuses(signal.SIGKILL, signal.SIGHUP)) == [137, 129]


@case("IO-06")
def _():
    assert list(statuses(signal.SIGSTOP)) == [147]


@case("IO-07")
def _():
    client = Client()
    calls = {
        "SendInput": {"data": b"x"},
        "SendResize": {"cols": 80, "rows": 24},
        "SendSignal": {"signal": 2},
        "GetOutput": {},
        "GetHistory": {},
        "CloseSession": {},
    }
    for unknown in [str(uuid.uuid4()), "curl -o x http://example.org"]:
        for name, fields in calls.items():
            assert fails(Code.NOT_FOUND, lambda: client.call(name, session_id=unknown, **fields)) == unknown


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


@case("IO-11")
def _():
    client = Client()
    sid = client.sid()
    assert client.call("GetHistory", session_id=sid, limit=100).total == 0
    assert Client(OBSERVER).call("GetHistory", session_id=sid, limit=100, offset=5).total == 0


@case("IO-12")
def _():
    """What was typed is kept nowhere, so no history tells of it."""
    client = Client()
    sid = client.sid()
    client.run(sid, "echo a secret")
    history = client.call("GetHistory", session_id=sid, limit=100)
    assert list(history.commands) == [] and history.total == 0


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
