"""The inputs of a workflow as form fields, from which options and launchpads are made."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from brex_sync.workflows.declare import Inputs


class InputKind(Enum):
    """How an input is entered. NESTED inputs are entered as JSON only."""

    TEXT = auto()
    TEXTS = auto()
    CHOICE = auto()
    CHOICES = auto()
    FLAG = auto()
    NESTED = auto()


@dataclass(frozen=True, slots=True)
class InputField:
    """One input. `choices` are its allowed texts; `private` ones must not be visible to others."""

    name: str
    kind: InputKind
    description: str
    required: bool
    default: Any
    choices: tuple[str, ...]
    private: bool


def entries(inputs: type[Inputs]) -> Iterator[InputField]:
    """Yields the inputs in the order in which they are declared."""
    for name, field in inputs.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        kind, choices = (InputKind.TEXT, ()) if extra.get("path") else _kind(field.annotation)
        required = field.is_required()
        default = None if required else field.get_default(call_default_factory=True)
        described, private = field.description or "", bool(extra.get("private"))
        yield InputField(name, kind, described, required, default, choices, private)


def _kind(annotation: Any) -> tuple[InputKind, tuple[str, ...]]:
    annotation = _bare(annotation)
    if get_origin(annotation) in (list, tuple):
        inner, choices = _kind(get_args(annotation)[0])
        many = {InputKind.TEXT: InputKind.TEXTS, InputKind.CHOICE: InputKind.CHOICES}
        return many.get(inner, InputKind.NESTED), choices
    if get_origin(annotation) is Literal:
        return InputKind.CHOICE, get_args(annotation)
    if annotation is bool:
        return InputKind.FLAG, ()
    nested = isinstance(annotation, type) and issubclass(annotation, BaseModel | dict)
    return (
        InputKind.NESTED if nested or get_origin(annotation) is not None else InputKind.TEXT
    ), ()


def _bare(annotation: Any) -> Any:
    """Returns a type without its annotations, and without None."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        some = [one for one in get_args(annotation) if one is not NoneType]
        return _bare(some[0]) if len(some) == 1 else annotation
    return annotation
