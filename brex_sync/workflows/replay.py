"""Replays the generator of a workflow, and tells its steps apart by their names."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from brex_sync.errors import WorkflowError
from brex_sync.workflows.declare import Step, Steps


async def replay(
    steps: Steps,
    run: Callable[[Step], Awaitable[Any]],
    run_all: Callable[[Sequence[Step]], Awaitable[list[Any]]],
) -> None:
    """Runs a generator from its beginning to its end; `run` and `run_all` return its results."""
    try:
        wanted = next(steps)
        while True:
            if isinstance(wanted, Step):
                wanted = steps.send(await run(wanted))
            else:
                wanted = steps.send(await run_all(wanted))
    except StopIteration:
        pass


class StepNames:
    """The names of the steps that a replay has reached: each is of one request."""

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._steps

    def is_repeated(self, step: Step) -> bool:
        """Adds a step; returns True if the same write was added before.

        Raises:
            WorkflowError: another step has its name, or it is a read that was added before.
        """
        before = self._steps.setdefault(step.name, step)
        if before is step:
            return False
        if before == step and step.writes:
            return True
        raise WorkflowError(f"two steps are called {step.name!r}: each needs its own name")


def each_once(steps: Sequence[Step]) -> list[Step]:
    """Returns the steps without repetitions of the same name and request."""
    first: dict[str, Step] = {}
    return [s for s in steps if (known := first.setdefault(s.name, s)) is s or known != s]
