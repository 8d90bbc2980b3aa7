"""What a workflow would do: reads are sent, writes are not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from brex_sync.brex.client import BrexClient
from brex_sync.workflows import sending
from brex_sync.workflows.declare import Inputs, Kept, Step, StepNames, Workflow, each_once
from brex_sync.workflows.masking import masked


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A write that would be sent, or a wait. Bank numbers in the body are cut."""

    step: str
    method: str
    path: str
    body: Any


async def dry_run(client: BrexClient, workflow: Workflow, inputs: Inputs) -> list[PlannedStep]:
    """Returns the writes that a workflow would send, in order.

    Reads are sent. A placeholder such as `id-of-invite` replaces the id of what a write would
    create.

    Raises:
        BadInputs: the inputs cannot be used.
        WorkflowError: a call is not declared, or two steps have one name.
        BrexError: a read failed.
    """
    planned: list[PlannedStep] = []
    names = StepNames()

    async def result(step: Step) -> Any:
        workflow.check(step)
        repeated = names.is_repeated(step)
        if step.until is None and not step.writes:
            return await sending.look(client, step)
        if not repeated:
            planned.append(_planned(step))
        return _placeholder(step)

    steps = workflow.steps(inputs)
    try:
        wanted: Step | Sequence[Step] = next(steps)
        while True:
            if isinstance(wanted, Step):
                wanted = steps.send(await result(wanted))
            else:
                results = {step.name: await result(step) for step in each_once(wanted)}
                wanted = steps.send([results[step.name] for step in wanted])
    except StopIteration:
        return planned


def _planned(step: Step) -> PlannedStep:
    name = step.name if step.until is None else f"{step.name}, waiting {step.until}"
    return PlannedStep(name, step.method, step.url, masked(step.body))


def _placeholder(step: Step) -> Kept:
    made = {name: f"{name}-of-{step.name.replace(' ', '-')}" for name in step.keep}
    return made if step.until is None else made | {step.until.field: step.until.reaches}
