"""Finding, making and closing sessions."""

import uuid

from kit import Client, Code, ONE, TWO, ask, case, fails, pb, until


def hosts(**filters):
    """The machines of a list."""
    return sorted({row.machine_hostname for row in Client().call("ListSessions", **filters).sessions})


def ids(client, **filters):
    return [row.session_id for row in client.call("ListSessions", **filters).sessions]


def resolve(host, is_partial=True):
    """The SDKs' `set_machine`."""
    return Client().call("GetSessionByHostname", hostname=host, partial_match=is_partial)


def active(host):
    """The SDKs' `get_active_session`."""
    found = Client().call("ListSessions", hostname_filter=host, status_filter="connected", limit=1)
    return next(iter(found.sessions), None)


@case("SES-01")
def _():
    listed = Client().call("ListSessions")
    assert listed.total == len(listed.sessions) == 2 and listed.workspace_name == "default"
    row = next(row for row in listed.sessions if row.machine_hostname == ONE)
    assert row.session_id and (row.machine_name, row.status, row.os) == (ONE, "connected", "linux")
    assert row.has_shell and row.heartbeat_age_seconds < 60 and row.agent_version


@case("SES-02")
def _():
    assert hosts(hostname_filter=ONE[2:]) == hosts(hostname_filter=ONE.upper()) == [ONE]
    assert hosts(hostname_filter="wEb-") == [ONE, TWO]


@case("SES-03")
def _():
    listed = Client().call("ListSessions", hostname_filter="nobody-is-called-so")
    assert not listed.sessions and listed.total == 0 and not listed.error


@case("SES-04")
def _():
    assert hosts(status_filter="connected") == [ONE, TWO]
    assert hosts(status_filter="disconnected") == hosts(status_filter="no such status") == []


@case("SES-05")
def _():
    def page(**bounds):
        listed = Client().call("ListSessions", **bounds)
        assert listed.total == 2, "before the cut"
        return [row.session_id for row in listed.sessions]

    every = page()
    assert page(limit=1) + page(limit=1, offset=1) == page(limit=20) == every and len(set(every)) == 2
    assert page(offset=9) == [] and page(offset=1) == every[1:]


@case("SES-06")
def _():
    client = Client(route=ONE)
    other = client.create()
    client.run(other, "true")
    row = active(ONE)
    assert (row.session_id, row.machine_hostname) == (client.sid(), ONE), "its own session, not the newest"


@case("SES-07")
def _():
    assert active("nobody-is-called-so") is None


@case("SES-08")
def _():
    found = resolve(ONE)
    assert (found.machine_hostname, found.machine_name, found.status, found.os) == (ONE, ONE, "connected", "linux")
    assert found.session_id and found.has_shell and found.agent_version and found.heartbeat_age_seconds < 60
    assert not found.error and not found.ambiguous and found.connected_at.seconds > 0


@case("SES-09")
def _():
    assert resolve(ONE[2:].upper()).session_id == resolve("One").session_id == resolve(ONE).session_id


@case("SES-10")
def _():
    assert resolve(ONE, is_partial=False).machine_hostname == ONE
    part = resolve(ONE[2:], is_partial=False)
    assert not part.found and not part.ambiguous and not part.session_id and part.error


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


@case("SES-15")
def _():
    client = Client()
    sid = client.sid()
    assert sid in ids(client)
    client.run(sid, "true")
    assert ids(client).count(sid) == 1


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


def stop(client, sid):
    """The machine's agent stops, and the relay knows."""
    client.run(sid, "true")
    ask(f"stop-agent {ONE}")
    until("the machine is offline", lambda: hosts(status_filter="connected") == [TWO])


@case("SES-19")
def _():
    client = Client()
    sid = client.sid()
    stop(client, sid)
    found = resolve(ONE)
    assert not found.found and not found.ambiguous and not found.session_id and "offline" in found.error
    fails(Code.UNAVAILABLE, lambda: client.type(sid, "x"))


@case("SES-20")
def _():
    client = Client()
    stop(client, client.sid())
    assert active(ONE) is None
    away = {row.status for row in client.call("ListSessions", hostname_filter=ONE).sessions}
    assert away <= {"grace_period", "disconnected"}, away


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


@case("CRE-01")
def _():
    client = Client()
    size = pb.TerminalSize(rows=33, cols=111)
    sid = client.create(shell="/bin/bash", size=size, env={"CASE": "of env"}, working_directory="/usr")
    assert client.run(sid, 'stty size; echo "$CASE"; pwd') == (b"33 111\nof env\n/usr", 0)


@case("CRE-02")
def _():
    client = Client(route=ONE)
    sid = client.create()
    row = next(row for row in client.call("ListSessions").sessions if row.session_id == sid)
    assert (row.machine_hostname, row.status) == (ONE, "connected") and sid != client.sid()


@case("CRE-03")
def _():
    two = Client().sid(TWO)
    for route in [two, TWO, TWO.upper()]:
        client = Client(route=route)
        assert client.call("GetSessionStatus", session_id=client.create()).agent_hostname == TWO


@case("CRE-04")
def _():
    client = Client()
    sid = client.create()
    client.run(sid, "true")
    client.call("CloseSession", session_id=sid)
    assert fails(Code.NOT_FOUND, lambda: client.type(sid, "x")) == sid
    assert fails(Code.NOT_FOUND, lambda: client.output(sid)) == sid
    assert sid not in ids(client, status_filter="connected")


@case("CRE-05")
def _():
    unknown = str(uuid.uuid4())
    assert fails(Code.NOT_FOUND, lambda: Client().call("CloseSession", session_id=unknown)) == unknown


@case("CRE-06")
def _():
    client = Client()
    assert "/no/such/shell" in fails(Code.INVALID_ARGUMENT, lambda: client.create(shell="/no/such/shell"))
    assert client.call("ListSessions").total == 1, "nothing is left of it"


@case("CRE-07")
def _():
    client = Client()
    one, two = client.create(), client.create()
    assert one != two
    client.call("CloseSession", session_id=one)
    assert client.run(two, "echo $BASH; echo alive") == (b"/bin/bash\nalive", 0)


@case("CRE-08")
def _():
    fails(Code.FAILED_PRECONDITION, Client().create)


@case("CRE-09")
def _():
    fails(Code.FAILED_PRECONDITION, lambda: Client().type("", "x"))
    fails(Code.NOT_FOUND, Client(route="nobody-is-called-so").create)
