"""What a workflow would do: reads are sent, writes are not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from brex_sync.brex.client import BrexClient
from brex_sync.workflows import sending
from brex_sync.workflows.declare import Inputs, Kept, Step, Workflow
from brex_sync.workflows.masking import masked
from brex_sync.workflows.replay import StepNames, each_once, replay


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

    async def results(steps: Sequence[Step]) -> list[Any]:
        by_name = {step.name: await result(step) for step in each_once(steps)}
        return [by_name[step.name] for step in steps]

    await replay(workflow.steps(inputs), result, results)
    return planned


def _planned(step: Step) -> PlannedStep:
    name = step.name if step.until is None else f"{step.name}, waiting {step.until}"
    return PlannedStep(name, step.method, step.url, masked(step.body))


def _placeholder(step: Step) -> Kept:
    made = {name: f"{name}-of-{step.name.replace(' ', '-')}" for name in step.keep}
    return made if step.until is None else made | {step.until.field: step.until.reaches}
