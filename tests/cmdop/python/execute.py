"""The SDKs' `execute`, and the output that it polls."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from kit import Client, Code, case, fails


def together(call, items):
    """Calls at the same time, their answers in order."""
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(call, items))


def prints(command):
    """A session that prints this and then nothing more."""
    client = Client()
    sid = client.create()
    client.type(sid, f"stty -echo; PS1=; {command}; echo 'e''nd'; exec sleep 1000\n")
    client.shows(sid, "end\r\n", 100)
    return client, sid


def printed():
    """Such a session, and all that it has printed."""
    client, sid = prints("seq -w 1 3000")
    return client, sid, client.output(sid)


@case("EXE-01")
def _():
    client = Client()
    assert client.run(client.sid(), "echo hello") == (b"hello", 0)


@case("EXE-02")
def _():
    client = Client()
    sid = client.sid()
    for code in [0, 1, 7, 255]:
        assert client.run(sid, f"(exit {code})") == (b"", code)
    assert client.run(sid, "no-such-command-here")[1] == 127


@case("EXE-03")
def _():
    client = Client()
    assert client.run(client.sid(), "echo one; echo; echo three") == (b"one\n\nthree", 0)


@case("EXE-04")
def _():
    client = Client()
    assert client.run(client.sid(), "echo out; echo err >&2; echo last") == (b"out\nerr\nlast", 0)


@case("EXE-05")
def _():
    client = Client()
    sid = client.sid()
    client.run(sid, "cd /usr/bin; KEPT=yes")
    assert client.run(sid, "pwd; echo $KEPT") == (b"/usr/bin\nyes", 0)


@case("EXE-06")
def _():
    client = Client()
    assert client.run(client.sid(), "printf 'h\\303\\251llo \\342\\234\\223'") == ("héllo ✓".encode(), 0)


@case("EXE-07")
def _():
    client = Client()
    assert client.run(client.sid(), "echo 'ünï→'") == ("ünï→".encode(), 0)


@case("EXE-08")
def _():
    client = Client()
    data, code = client.run(client.sid(), "seq -w 1 3000")
    assert code == 0 and data.split() == [b"%04d" % n for n in range(1, 3001)]


@case("EXE-09")
def _():
    client = Client()
    sid = client.sid()
    client.type(sid, "seq -w 1 50000; echo \"fl\"oo\"d\"ed\n")
    client.shows(sid, "flooded\r\n", 200)
    assert client.run(sid, "echo after") == (b"after", 0)


@case("EXE-10")
def _():
    client = Client()
    sid = client.sid()
    client.run(sid, "seq -w 1 28000")
    assert client.run(sid, "echo usable") == (b"usable", 0)


@case("EXE-11")
def _():
    client = Client()
    sid = client.sid()
    data, code = client.run(sid, "seq -w 1 28000")
    assert code == 0 and data.count(b"\n") == 27999


@case("EXE-12")
def _():
    client = Client()
    sid = client.sid()
    start = time.monotonic()
    try:
        raise RuntimeError(client.run(sid, "sleep 4", seconds=1))
    except AssertionError:
        assert time.monotonic() - start < 3.5, "polling is answered meanwhile"
    assert client.run(sid, "echo next") == (b"next", 0)


@case("EXE-13")
def _():
    client = Client()
    sid = client.sid()
    client.run(sid, "true")
    done = together(lambda n: client.run(sid, f"echo is-{n}; (exit {n})"), range(1, 5))
    assert done == [(b"is-%d" % n, n) for n in range(1, 5)]


@case("EXE-14")
def _():
    client = Client()
    sids = [client.create() for _ in range(3)]
    start = time.monotonic()
    assert together(lambda sid: client.run(sid, "sleep 1.5; echo slept"), sids) == [(b"slept", 0)] * 3
    assert time.monotonic() - start < 4.4, "they ran one after the other"


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


@case("EXE-16")
def _():
    """No session and two machines: nobody guesses."""
    fails(Code.FAILED_PRECONDITION, lambda: Client().run("", "true"))
    fails(Code.FAILED_PRECONDITION, lambda: Client().output(""))


@case("EXE-17")
def _():
    unknown = str(uuid.uuid4())
    assert fails(Code.NOT_FOUND, lambda: Client().run(unknown, "true")) == unknown


@case("EXE-18")
def _():
    client = Client()
    sid = client.sid()
    client.run(sid, "true")
    start = time.monotonic()
    assert client.run(sid, "true") == (b"", 0) and time.monotonic() - start < 2


@case("EXE-19")
def _():
    client = Client()
    assert client.run(client.sid(), "printf '%s|' \"a b\" 'c\"d' '$x' \\\\; echo") == (b'a b|c"d|$x|\\|', 0)


@case("EXE-20")
def _():
    client = Client()
    sid = client.sid()
    assert client.run(sid, "printf 'no newline'") == (b"no newline", 0)
    assert client.run(sid, "true") == (b"", 0)


@case("EXE-21")
def _():
    client = Client()
    assert client.run(client.sid(), f"v={'x' * 3000}; echo ${{#v}}") == (b"3000", 0)


@case("EXE-22")
def _():
    client = Client()
    sid = client.sid()
    for n in range(20):
        assert client.run(sid, f"echo n=$(({n}+0))") == (b"n=%d" % n, 0)


@case("OUT-01")
def _():
    client, sid, whole = printed()
    assert whole.data.endswith(b"3000\r\nend\r\n") and len(whole.data) == whole.total_bytes and not whole.has_more
    assert client.output(sid).data == whole.data, "reading does not consume"


@case("OUT-02")
def _():
    client, sid, whole = printed()
    newest = client.output(sid, 0, 100)
    assert newest.data == whole.data[-100:] and newest.total_bytes == whole.total_bytes and not newest.has_more
    assert client.output(sid, 0, whole.total_bytes + 100).data == whole.data


@case("OUT-03")
def _():
    client, sid, whole = printed()
    assert client.output(sid, 50).data == whole.data[50:]
    part = client.output(sid, 50, 70)
    assert part.data == whole.data[50:120] and part.has_more


@case("OUT-04")
def _():
    client, sid, whole = printed()
    for limit in [0, 10]:
        past = client.output(sid, whole.total_bytes + 5, limit)
        assert not past.data and not past.has_more and past.total_bytes == whole.total_bytes


@case("OUT-05")
def _():
    client, sid, whole = printed()
    pages, at = b"", 1
    while at < whole.total_bytes:
        page = client.output(sid, at, 1000)
        pages, at = pages + page.data, at + len(page.data)
        assert page.has_more == (at < whole.total_bytes)
    assert pages == whole.data[1:]


@case("OUT-06")
def _():
    """The total counts on beyond what is kept, on the scale of the offsets."""
    client, sid = prints("seq -w 1 1100000")
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
