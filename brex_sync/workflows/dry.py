"""What a workflow would do: it looks, and writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from brex_sync.brex.client import BrexClient
from brex_sync.workflows import sending
from brex_sync.workflows.declare import Inputs, Kept, Step, Taken, Workflow, each_once
from brex_sync.workflows.masking import masked


@dataclass(frozen=True, slots=True)
class Planned:
    """A write that would be sent, or a wait. Bank numbers in the body are cut."""

    step: str
    method: str
    path: str
    body: Any


async def rehearse(client: BrexClient, workflow: Workflow, inputs: Inputs) -> list[Planned]:
    """The writes a workflow would send, in order. What it looks at, it does look at; where it needs
    the id of something it would have made, a word stands for it.

    Raises:
        BadInputs: they cannot be used.
        WorkflowError: a call is not declared, or a name stands for two steps.
        BrexError: something could not be looked at.
    """
    planned: list[Planned] = []
    taken = Taken()

    async def answer(step: Step) -> Any:
        workflow.check(step)
        again = taken.again(step)
        if step.until is None and not step.writes:
            return await sending.look(client, step)
        if not again:
            planned.append(_planned(step))
        return _stand_in(step)

    steps = workflow.steps(inputs)
    try:
        wish: Step | Sequence[Step] = next(steps)
        while True:
            if isinstance(wish, Step):
                wish = steps.send(await answer(wish))
            else:
                answers = {step.name: await answer(step) for step in each_once(wish)}
                wish = steps.send([answers[step.name] for step in wish])
    except StopIteration:
        return planned


def _planned(step: Step) -> Planned:
    told = step.name if step.until is None else f"{step.name}, waiting {step.until}"
    return Planned(told, step.method, step.url, masked(step.body))


def _stand_in(step: Step) -> Kept:
    made = {name: f"{name}-of-{step.name.replace(' ', '-')}" for name in step.keep}
    return made if step.until is None else made | {step.until.field: step.until.reaches}
