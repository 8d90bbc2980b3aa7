"""What a workflow would do: it looks, and writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from brex_sync.brex.client import BrexClient
from brex_sync.workflows import sending
from brex_sync.workflows.declare import Inputs, Kept, Step, Workflow
from brex_sync.workflows.masking import masked


@dataclass(frozen=True, slots=True)
class Planned:
    """A write that would be sent. Bank numbers in the body are cut."""

    step: str
    method: str
    path: str
    body: Any


async def rehearse(client: BrexClient, workflow: Workflow, inputs: Inputs) -> list[Planned]:
    """The writes a workflow would send, in order. What it looks at, it does look at; where it needs
    the id of something it would have made, a word stands for it.

    Raises:
        BadInputs: they cannot be used.
        BrexError: something could not be looked at.
    """
    planned: list[Planned] = []

    async def answer(step: Step) -> Any:
        if not step.writes:
            return await sending.look(client, step)
        planned.append(Planned(step.name, step.method, step.url, masked(step.body)))
        return _stand_in(step)

    steps = workflow.steps(inputs)
    try:
        wish: Step | Sequence[Step] = next(steps)
        while True:
            if isinstance(wish, Step):
                wish = steps.send(await answer(wish))
            else:
                wish = steps.send([await answer(step) for step in wish])
    except StopIteration:
        return planned


def _stand_in(step: Step) -> Kept:
    return {name: f"{name}-of-{step.name.replace(' ', '-')}" for name in step.keep}
