"""Who goes on, one step at a time: processes of actors, each a greenlet that hands over at every call of a port.

There is one thread and no waiting: time is a number that the schedule moves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from greenlet import GreenletExit, getcurrent, greenlet

from tests.simulation.choices import Choices

START = 1_760_000_000_000
"""Milliseconds since the epoch: when every schedule begins."""
_BUDGETS = (0, 0, 0, 1, 2, 5, 15, 40)
"""How many calls of ports an actor may make before another's turn comes."""


class Died(GreenletExit):
    """The process was killed: nothing of it does anything any more."""


class Process:
    """What dies together. Its clocks may be wrong."""

    def __init__(self, name: str, number: int = 0) -> None:
        self.name = name
        self.number = number
        self.is_alive = True
        self.is_frozen = False
        """A zombie: it does nothing now, and may go on later as if nothing had been."""
        self.is_stopping = False
        self.wall_offset = 0
        self.monotonic_offset = 0

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Actor:
    """One thread of control of a process."""

    __slots__ = ("greenlet", "name", "process", "wake_at")

    def __init__(self, name: str, process: Process, run: Callable[[], None]) -> None:
        self.name = name
        self.process = process
        self.greenlet = greenlet(run)
        self.wake_at = 0


class Scheduler:
    """Lets actors take turns as the choices say."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.now = START
        self.actors: list[Actor] = []
        self.current: Actor | None = None
        self.steps = 0
        self.seen: Counter[str] = Counter()
        """How often each kind of thing happened: what a run must have reached."""
        self.trace: list[str] | None = None
        self._hub = getcurrent()
        self._budget = 0

    # --- for the driver --------------------------------------------------------------------------

    def spawn(self, process: Process, name: str, run: Callable[[], None]) -> Actor:
        """A new actor; it begins when its turn comes."""
        actor = Actor(name, process, run)
        actor.greenlet.parent = self._hub
        self.actors.append(actor)
        return actor

    def step(self) -> None:
        """One actor's turn, or time passes until there is one."""
        ready = [actor for actor in self.actors if actor.wake_at <= self.now and not actor.process.is_frozen]
        if not ready:
            self.pass_time()
            return
        self._run(ready[self.choices.below(len(ready))], _BUDGETS[self.choices.below(len(_BUDGETS))])

    def round(self) -> None:
        """Every actor that is ready gets a long turn: for the end of a schedule, where nothing is left to chance."""
        for actor in list(self.actors):
            if actor.wake_at <= self.now and not actor.process.is_frozen and actor in self.actors:
                self._run(actor, 10_000)

    def pass_time(self) -> None:
        """Up to the next moment at which somebody wakes."""
        wakes = [actor.wake_at for actor in self.actors if not actor.process.is_frozen]
        self.now = max(self.now + 1, min(wakes, default=self.now + 100))

    def kill(self, process: Process) -> None:
        """The process dies where it stands."""
        process.is_alive = False
        for actor in [actor for actor in self.actors if actor.process is process]:
            self._drop(actor)

    def _drop(self, actor: Actor) -> None:
        self.actors.remove(actor)
        if actor.greenlet:  # has begun and has not ended
            before, self.current = self.current, actor
            actor.greenlet.throw(Died())
            self.current = before

    def _run(self, actor: Actor, budget: int) -> None:
        self.steps += 1
        self.now += 1
        if self.trace is not None:
            self.trace.append(f"{self.now - START:>8} {actor.process.name}/{actor.name}")
        self.current, self._budget = actor, budget
        actor.greenlet.switch()
        self.current = None
        if actor.greenlet.dead and actor in self.actors:
            self.actors.remove(actor)

    # --- for actors ------------------------------------------------------------------------------

    def pause(self) -> None:
        """Others may go on here."""
        actor = self.current
        if actor is None:
            return  # the driver itself
        if not actor.process.is_alive:
            raise Died
        if self._budget > 0:
            self._budget -= 1
            return
        self._hub.switch()

    def sleep(self, seconds: float) -> None:
        """The actor does nothing for so long."""
        actor = self.current
        if actor is None:
            return
        if not actor.process.is_alive:
            raise Died
        actor.wake_at = self.now + max(int(seconds * 1000), 1)
        self._hub.switch()

    def note(self, what: str, count: int = 1) -> None:
        """Something happened that a run must have reached."""
        self.seen[what] += count
        self.tell(what)

    def tell(self, what: str) -> None:
        """For who reads the trace of a schedule."""
        if self.trace is not None:
            who = f"{self.current.process.name}/{self.current.name}" if self.current else "-"
            self.trace.append(f"{self.now - START:>8} {who}: {what}")
