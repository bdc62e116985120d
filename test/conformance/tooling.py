"""Scenarios: calls of tools. The server's own, those that clients run, approvals, and talking while they run."""

from __future__ import annotations

import json
from typing import Any

from catalogue import LIMITS
from client import Client, new_id
from frames import Frame, id_bytes
from reducer import ChatState
from stage import Scenario, expect, refused, visitor

DOUBLE = {"name": "double", "description": "Doubles n.", "schema": json.dumps({"type": "object"})}


def tools_of_the_server() -> None:
    """[6.13][P7] calls of one step start, show what they give, and are settled once each, before the next step"""
    client = visitor("tools")
    chat = client.create()
    _, state = client.attach(chat)
    ended = _run(client, chat, '/script tool=clock tool=slow:{"ms":50,"text":"slept"} tool=nonsense')
    expect(ended["outcome"], "completed", "the turn")
    step, results = _step(state, 1)
    calls = [part for part in step["parts"] if part["type"] == "tool_call"]
    expect([call["name"] for call in calls], ["clock", "slow", "nonsense"], "the calls of the message")
    expect(json.loads(calls[1]["text"]), {"ms": 50, "text": "slept"}, "the arguments, as the model wrote them")
    by_call = {result["call"]: result for result in results}
    expect(len(results), len(by_call), "results of one call")
    statuses = [by_call[call["call"]]["status"] for call in calls]
    expect(statuses, ["ok", "ok", "error"], "a tool that is not there is an error for the model")
    expect(by_call[calls[1]["call"]]["text"], "slept", "what the slow one gave")
    for call in calls:
        lives = [event["type"] for event in _events(client, "tool") if event["call"] == call["call"]]
        expect((lives[0], lives[-1], lives.count("settled")), ("started", "settled", 1), f"the life of {call['name']}")
    kinds = [(event["kind"], event.get("type"), event.get("step")) for event in _events(client)]
    last_settled = max(at for at, (kind, kind_of, _) in enumerate(kinds) if (kind, kind_of) == ("tool", "settled"))
    expect(last_settled < kinds.index(("step", "started", 2)), True, "all are settled before the next step")


def tool_of_a_client() -> None:
    """[6.14][8.35] a tool that clients run waits as an action; any device answers it, and the first answer counts"""
    one = visitor("client tool")
    chat = one.create(tools=[DOUBLE])
    _, state = one.attach(chat)
    turn = one.say(chat, '/script tool=double:{"n":2}')["turn"]
    action = _action(one, state)
    expect((action["type"], action["name"], action["args"]), ("result", "double", '{"n":2}'), "the action")
    expect(state.chat and state.chat["status"], "requires_action", "the status of the chat")
    two = visitor("client tool")
    _, late = two.attach(chat)
    expect(_action(two, late), action, "the action in a snapshot")
    answer = {"chat": id_bytes(chat), "call": action["call"], "output": "four"}
    command_id = new_id()
    settled = two.command("tool.result", answer, command_id)
    expect(settled, {"outcome": "settled", "status": "ok"}, "the first answer")
    refused("not_waiting", lambda: one.command("tool.result", {**answer, "output": "five"}))
    expect(one.command("tool.result", answer, command_id), settled, "the same command again")
    one.turn_ended(chat, turn)
    _, results = _step(state, 1)
    expect([(result["text"], result["status"]) for result in results], [("four", "ok")], "the result")
    expect(visitor("client tool").attach(chat)[1].shared(), state.shared(), "a client that comes later")


def failed_tool_of_a_client() -> None:
    """[8.35] what a client's tool could not do is an error that the model reads, and the turn goes on"""
    client = visitor("client tool, failed")
    chat = client.create(tools=[DOUBLE])
    _, state = client.attach(chat)
    turn = client.say(chat, "/script tool=double")["turn"]
    answer = {"chat": id_bytes(chat), "call": _action(client, state)["call"], "output": "no n", "is_error": True}
    expect(client.command("tool.result", answer)["status"], "error", "the answer")
    expect(client.turn_ended(chat, turn)["outcome"], "completed", "the turn")


def approval_allowed_once() -> None:
    """[8.35] a call that asks first runs when it is allowed by its hash; a hash of something else allows nothing"""
    one, two = visitor("approval"), visitor("approval")
    chat = one.create()
    (_, state), _ = one.attach(chat), two.attach(chat)
    turn = one.say(chat, '/script tool=risky:{"what":"x"}')["turn"]
    action = _action(one, state)
    expect((action["type"], action["name"]), ("approval", "risky"), "the action")
    allow = {"chat": id_bytes(chat), "call": action["call"], "hash": action["hash"], "allow": True}
    refused("not_waiting", lambda: one.command("tool.approve", {**allow, "hash": "0" * len(action["hash"])}))
    refused("bad_args", lambda: one.command("tool.approve", {**allow, "allow": None}))
    expect(one.command("tool.approve", allow)["outcome"], "running", "the first answer")
    refused("not_waiting", lambda: two.command("tool.approve", {**allow, "allow": False}))
    one.turn_ended(chat, turn)
    expect(_statuses(state, 1), ["ok"], "the call")


def approval_denied_or_always() -> None:
    """[8.35] a denied call does not run; one that is allowed always lets the next one of its tool run unasked"""
    client = visitor("always")
    chat = client.create()
    _, state = client.attach(chat)
    for allow, always in ((False, False), (True, True)):
        turn = client.say(chat, '/script tool=risky:{"what":"x"}')["turn"]
        action = _action(client, state)
        key = {"chat": id_bytes(chat), "call": action["call"], "hash": action["hash"]}
        client.command("tool.approve", {**key, "allow": allow, "always": always})
        client.turn_ended(chat, turn)
        expect(_statuses(state, 1, turn), ["ok" if allow else "denied"], f"allowed: {allow}")
    asked = len(_events(client, "action"))
    _run(client, chat, '/script tool=risky:{"what":"another"}')
    expect(len(_events(client, "action")), asked, "questions after always")


def message_instead_of_an_answer() -> None:
    """[8.36] a message denies what waits and goes into the turn"""
    client = visitor("instead")
    chat = client.create(tools=[DOUBLE])
    _, state = client.attach(chat)
    turn = client.say(chat, '/script tool=double tool=risky:{"what":"x"}')["turn"]
    client.until(lambda: len((state.turn or {"actions": []})["actions"]) == 2)
    client.say(chat, '/script say="as you like"')
    client.turn_ended(chat, turn)
    expect(_statuses(state, 1, turn), ["denied", "denied"], "what waited")
    expect("as you like" in state.text(turn), True, "the turn went on with the message")
    expect((state.turn, state.queue), (None, []), "nothing is left over")


def steered_turn() -> None:
    """[8.36] a steering message waits in the queue with its mark, and is read at the next step of the same turn"""
    client = visitor("steer")
    chat = client.create()
    _, state = client.attach(chat)
    turn = client.say(chat, '/script tool=slow:{"ms":1500}')["turn"]
    client.until(lambda: bool(state.turn and state.turn["calls"]))
    client.say(chat, '/script say="behind it"')
    client.say(chat, '/script say="in it"', busy="steer")
    client.until(lambda: len(state.queue) == 2)
    expect([item.get("steer") for item in state.queue], [True, None], "the queue: steering goes first")
    client.turn_ended(chat, turn)
    expect(state.text(turn).endswith("in it"), True, "the answer of the turn")
    client.until(lambda: not state.queue and state.turn is None)
    expect(state.last_turn and state.last_turn["outcome"], "completed", "the turn behind it")


def bad_tools() -> None:
    """[8.34] tools that no provider would take, or too many, are refused when the chat is created"""
    client = visitor("bad tools")
    for tools in (
        [DOUBLE] * 2,
        [{**DOUBLE, "name": "no blanks"}],
        [{**DOUBLE, "schema": "{"}],
        [{**DOUBLE, "schema": json.dumps({"type": "string"})}],
        [{**DOUBLE, "schema": {"type": "object"}}],
        [{**DOUBLE, "name": f"t{n}"} for n in range(LIMITS["clientTools"] + 1)],
        "double",
    ):
        refused("bad_args", lambda tools=tools: client.create(tools=tools))
    client.create(tools=[{**DOUBLE, "name": f"t{n}"} for n in range(LIMITS["clientTools"])])


def _run(client: Client, chat: str, text: str) -> Frame:
    """One turn to its end; the event that ended it."""
    return client.turn_ended(chat, client.say(chat, text)["turn"])


def _action(client: Client, state: ChatState) -> Any:
    """The one that waits, when it does."""
    client.until(lambda: bool(state.turn and state.turn["actions"]))
    (action,) = (state.turn or {})["actions"]
    return action


def _events(client: Client, kind: str | None = None) -> list[Frame]:
    events = [frame["event"] for frame in client.frames if frame["op"] == "event"]
    return [event for event in events if kind in (None, event["kind"])]


def _step(state: ChatState, step: int, turn: str | None = None) -> tuple[Frame, list[Frame]]:
    """The message of a step, and the parts with its results, of that turn or of the last one."""
    which = turn or (state.last_turn or {})["turn"]
    mine = [m for _, m in sorted(state.messages.items()) if (m.get("turn"), m.get("step")) == (which, step)]
    (asking,) = (message for message in mine if message["role"] == "assistant")
    return asking, [message["parts"][0] for message in mine if message["role"] == "tool"]


def _statuses(state: ChatState, step: int, turn: str | None = None) -> list[str]:
    return [result["status"] for result in _step(state, step, turn)[1]]


SCENARIOS: tuple[Scenario, ...] = (
    tools_of_the_server,
    tool_of_a_client,
    failed_tool_of_a_client,
    approval_allowed_once,
    approval_denied_or_always,
    message_instead_of_an_answer,
    steered_turn,
    bad_tools,
)
