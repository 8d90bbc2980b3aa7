"""The marts there are: those shipped, and those of the folder in `BREX_SYNC_MARTS`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from pathlib import Path

from brex_sync.errors import MartError
from brex_sync.marts.declare import Mart, parse
from brex_sync.streams import EVENT_TABLES, STREAMS, VIEWS


@dataclass(frozen=True, slots=True)
class MartCatalogue:
    """Marts by name, each after those it reads; and why others cannot be made, by name."""

    marts: Mapping[str, Mart] = field(default_factory=dict)
    faults: Mapping[str, MartError] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Every mart's name, those with a fault last."""
        return (*self.marts, *self.faults)

    def tables_of(self, mart: Mart) -> frozenset[str]:
        """The tables and views of the connection that a mart reads, also through other marts."""
        found: set[str] = set()
        for source in mart.sources:
            other = self.marts.get(source)
            found |= self.tables_of(other) if other else {source}
        return frozenset(found)


def load(folder: Path | None = None) -> MartCatalogue:
    """The shipped marts and those of `folder`, which replace shipped ones of the same name.

    A file that cannot be used is a fault of its mart and of those that read it; the others stand.
    """
    marts, faults = _parsed(_files(folder))
    marts, unknown = _without_strangers(marts, faults)
    return _ordered(marts, {**faults, **unknown})


def shipped() -> Path:
    """The folder with the files of the shipped marts."""
    return Path(str(files("brex_sync.marts") / "sql"))


@cache
def tables() -> frozenset[str]:
    """The names of a connection's tables and views."""
    streams = (*STREAMS.values(), *EVENT_TABLES.values())
    return frozenset({t.name for s in streams for t in s.tables()} | VIEWS.keys())


def _files(folder: Path | None) -> Mapping[str, Path]:
    folders = [shipped()] if folder is None else [shipped(), folder]
    return {path.stem: path for one in folders for path in sorted(one.glob("*.sql"))}


def _parsed(paths: Mapping[str, Path]) -> tuple[dict[str, Mart], dict[str, MartError]]:
    marts: dict[str, Mart] = {}
    faults: dict[str, MartError] = {}
    for name, path in paths.items():
        try:
            marts[name] = _sole(parse(path))
        except MartError as error:
            faults[name] = error
    return marts, faults


def _sole(mart: Mart) -> Mart:
    if mart.name in tables():
        raise MartError(mart.path, f"a table of the connection is called {mart.name} already")
    return mart


def _without_strangers(
    marts: Mapping[str, Mart], faults: Mapping[str, MartError]
) -> tuple[dict[str, Mart], dict[str, MartError]]:
    """The marts whose sources are known, and the faults of the others."""
    known = tables() | marts.keys() | faults.keys()
    found: dict[str, MartError] = {}
    for name, mart in marts.items():
        if strangers := [source for source in mart.sources if source not in known]:
            told = f"`sources` names {', '.join(strangers)}, and there is no such table or mart"
            found[name] = MartError(mart.path, told)
    return {name: mart for name, mart in marts.items() if name not in found}, found


def _ordered(marts: Mapping[str, Mart], faults: Mapping[str, MartError]) -> MartCatalogue:
    """Each mart after those it reads; one that reads a faulty one is faulty too."""
    told = dict(faults)
    for name in _circular(marts):
        told[name] = MartError(marts[name].path, "it reads itself, through its `sources`")
    reads = {name: sorted(set(marts[name].sources) - told.keys()) for name in sorted(marts)}
    ordered: dict[str, Mart] = {}
    for name in TopologicalSorter(reads).static_order():
        if name not in marts or name in told:
            continue
        if needed := [source for source in marts[name].sources if source in told]:
            told[name] = MartError(marts[name].path, f"it reads {needed[0]}, which cannot be made")
        else:
            ordered[name] = marts[name]
    return MartCatalogue(ordered, told)


def _circular(marts: Mapping[str, Mart]) -> Iterable[str]:
    """The marts that read themselves through others."""
    left = dict(marts)
    while left:
        try:
            TopologicalSorter({name: mart.sources for name, mart in left.items()}).prepare()
        except CycleError as error:
            yield from _known(error.args[1], left)
            for name in set(error.args[1]):
                left.pop(name, None)
        else:
            return


def _known(names: Iterable[str], marts: Mapping[str, Mart]) -> Iterator[str]:
    return (name for name in dict.fromkeys(names) if name in marts)
