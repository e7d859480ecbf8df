"""What a fleetmux relay does not offer, and the synchronous flavour."""

import time

from kit import Client, Code, attach, case, fails, job


def not_offered(what, call):
    """Refused with a sentence, and at once."""
    start = time.monotonic()
    details = fails(Code.UNIMPLEMENTED, call)
    assert details == f"a fleetmux relay does not offer {what}", details
    assert time.monotonic() - start < 3


@case("AGT-01")
def _():
    not_offered("AI agents", lambda: Client().call("RunAgent", prompt="hello", session_id="local"))


@case("AGT-02")
def _():
    not_offered("AI agents", lambda: list(Client().call("RunAgentStream", prompt="hello", timeout_seconds=300)))


@case("SKL-01")
def _():
    not_offered("AI skills", lambda: Client().call("SkillList"))


@case("SKL-02")
def _():
    not_offered("AI skills", lambda: Client().call("SkillShow", skill_name="any"))


@case("SKL-03")
def _():
    not_offered("AI skills", lambda: Client().call("SkillRun", skill_name="unknown", prompt="hello"))


@case("EXT-01")
def _():
    not_offered("AI extraction", lambda: Client().call("Extract", prompt="hello", json_schema="{}"))


@case("SYN-01")
def _():
    """The synchronous flavour at a terminal: every call there is, on one channel, one after the other."""
    client = Client()
    sid = client.create()
    stream = attach(client, sid)
    client.call("SendResize", session_id=sid, cols=99, rows=33)
    client.type(sid, "stty size\n")
    client.shows(sid, "33 99")
    client.type(sid, job("job"))
    stream.shows("on-job")
    client.call("SendSignal", session_id=sid, signal=2)
    client.type(sid, 'echo "st=$?"_\n')
    stream.shows("st=130_")
    assert client.call("ListSessions").total == 2 and client.call("GetSessionStatus", session_id=sid).exists
    client.call("CloseSession", session_id=sid)
    assert stream.ended() == Code.OK
