"""The attempts of one task: which instance, its answer, another one where that is
safe."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

from appliance import clock, state
from appliance.call import Broken, Call, NotHttp, TooLarge
from appliance.market import answers, tasks
from appliance.market.cards import Card, Cards
from appliance.market.catalogue import pick
from appliance.market.schemas import violations
from appliance.market.sse import Parser
from appliance.market.tasks import Task
from appliance.problems import Invalid, Problem

MOST = 2
EVENTS = 100_000
Answer = tuple[Any, Any]


class Attempts:
    """`changed` is called with the id of the task after each of its events."""

    def __init__(
        self,
        task: Task,
        cards: Cards,
        limit: int,
        changed: Callable[[str], None],
    ) -> None:
        self.task = task
        self.made: list[dict[str, Any]] = json.loads(task.attempts)
        self.is_stopped = False
        self._cards = cards
        self._limit = limit
        self._changed = changed
        self._call: Call | None = None

    @property
    def received(self) -> int:
        return self._call.received if self._call else 0

    def stop(self) -> None:
        """End the call that goes on, from another thread."""
        self.is_stopped = True
        if self._call is not None:
            self._call.cut()

    def run(self) -> Answer:
        """Output and reported usage; raises the Problem that the task ends with."""
        if self.task.state == "working":
            self._take_up()
        agent, why = tasks.agent_of(self.task), ""
        while True:
            lost = [e["instance"] for e in self.made if e.get("outcome") == "lost"]
            try:
                instance = pick(agent, lost)
            except Problem as problem:
                raise (gone(why) if lost else problem) from None
            self._begin(instance)
            card = self._cards.of(instance)
            try:
                return self._attempt(instance, card)
            except Broken as broken:
                self._close("lost")
                why = str(broken)
            if not card.repeatable or len(self.made) >= MOST or self.is_stopped:
                raise gone(why)

    def _take_up(self) -> None:
        """An earlier gateway died while the agent worked on it."""
        self._close("gateway-lost")
        instance = self.made[-1]["instance"] if self.made else ""
        found = state.find("instance", instance)
        if found is None or not self._cards.of(found).repeatable:
            raise restarted("call it again")
        if len(self.made) >= MOST:
            raise restarted("it was tried twice")

    def _begin(self, instance: state.Record) -> None:
        now = clock.rfc3339(clock.now())
        node = instance.body["node"]
        self.made.append({"instance": instance.id, "node": node, "started": now})
        if self.task.state == "working":
            tasks.attempt(self.task.id, self.made)
            return
        if not tasks.begin(self.task.id, instance.body["version"], self.made):
            raise Problem("canceled", "The task had ended before its turn.", status=409)
        self.task = tasks.get(self.task.id)
        self._changed(self.task.id)

    def _close(self, outcome: str) -> None:
        if self.made and "outcome" not in self.made[-1]:
            ended = clock.rfc3339(clock.now())
            self.made[-1] |= {"ended": ended, "outcome": outcome}

    def _attempt(self, instance: state.Record, card: Card) -> Answer:
        where = instance.body["address"], instance.body["port"]
        try:
            with Call(*where, self.task.deadline, self._limit) as call:
                self._call = call
                if self.is_stopped:
                    call.cut()
                output, reported = self._answer(call, card)
            check_output(card, output)
        except TimeoutError:
            self._close("agent-timeout")
            raise timeout() from None
        except TooLarge:
            problem = answers.nonsense("it is larger than market.max_output_mib")
            self._close(problem.name)
            raise problem from None
        except NotHttp as error:
            problem = answers.nonsense(str(error))
            self._close(problem.name)
            raise problem from None
        except Problem as problem:
            self._close(problem.name)
            raise
        self._close("completed")
        return output, reported

    def _answer(self, call: Call, card: Card) -> Answer:
        request = json.loads(self.task.request)
        body = {
            "task_id": self.task.id,
            "input": request["input"],
            "parameters": request["parameters"],
            "timeout_s": round(self.task.deadline - clock.now(), 3),
        }
        accept = "text/event-stream" if card.streaming else "application/json"
        answer = call.send("POST", "/run_task", body, {"Accept": accept})
        media = answer.headers.get("Content-Type", "")
        if answer.status == 200 and media.startswith("text/event-stream"):
            return self._streamed(call, answer)
        return answers.whole(answer.status, b"".join(call.chunks(answer)))

    def _streamed(self, call: Call, answer: http.client.HTTPResponse) -> Answer:
        parser, count = Parser(), 0
        for chunk in call.chunks(answer):
            for kind, text in parser.feed(chunk):
                count += 1
                if count > EVENTS:
                    raise answers.nonsense(f"it has more than {EVENTS} events")
                final = self._event(kind, answers.parsed(text))
                if final is not None:
                    return final
        raise answers.nonsense("its stream ended without a result")

    def _event(self, kind: str, body: Any) -> Answer | None:
        """Pass one event on; the answer, when it is the result."""
        if kind == "error":
            raise answers.agent_error("The agent reported an error", body)
        if kind == "result":
            return answers.result(body)
        if kind in ("delta", "log"):
            tasks.say(self.task.id, kind, body)
            self._changed(self.task.id)
        return None


def gone(why: str) -> Problem:
    text = f"The instance went away: {why.rstrip('.')}."
    return Problem("agent-lost", text, status=502)


def restarted(then: str) -> Problem:
    text = f"The gateway was restarted while the agent worked; {then}."
    return Problem("agent-lost", text, status=502)


def timeout() -> Problem:
    text = "The agent did not answer before the deadline (timeout_s)."
    return Problem("agent-timeout", text, status=504)


def check_input(card: Card, value: Any) -> None:
    """Raise Invalid with a JSON Pointer for each violation."""
    wrong = violations(card.members.get("input"), value)
    if wrong:
        text = f"The input does not fit the agent's schema: {listed(wrong, 'input')}"
        raise Invalid(text, **wrong)


def check_output(card: Card, value: Any) -> None:
    wrong = violations(card.members.get("output"), value)
    if wrong:
        why = listed(wrong, "output")
        raise answers.nonsense(f"the output does not fit the card's schema: {why}")


def listed(wrong: dict[str, str], whole: str) -> str:
    return "; ".join(f"{at or whole}: {text}" for at, text in wrong.items())
