"""Breaks the engine on purpose, one way at a time, and sees that some test notices.

Run by `make mutation-test`; with words, only mutants whose name contains one of them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
COPIED = ("brex_sync", "brex_sync_tests", "pyproject.toml")
SECONDS = 300
"""How long one test may take: some mutants never end, and some machines are slow."""
AT_ONCE = os.cpu_count() or 1


class Mutant(NamedTuple):
    """A fault: in `file`, `old` (there once) becomes `new`; one of `tests` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str


def load_mutants() -> list[Mutant]:
    """The mutants of `mutants.toml`."""
    entries = tomllib.loads((ROOT / "brex_sync_tests" / "mutants.toml").read_text())["mutant"]
    return [Mutant(**entry) for entry in entries]


def survives(mutant: Mutant, copy: Path) -> bool:
    """Breaks the copy; returns whether no test fails though it is broken."""
    path = copy / "brex_sync" / mutant.file
    whole = path.read_text()
    if whole.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: {mutant.file} has changed; change the mutant too")
    path.write_text(whole.replace(mutant.old, mutant.new))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not crash and not history"]
    command += [f"--timeout={SECONDS}", f"brex_sync_tests/{mutant.tests}"]
    run = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    if run.returncode not in (0, 1):
        raise SystemExit(f"{mutant.name}: the tests did not run\n{run.stdout}{run.stderr}")
    return run.returncode == 0


def judge(mutant: Mutant) -> bool:
    """Whether a mutant survives in a copy of its own; says how it fared."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="brex-sync-mutant-") as directory:
        copy = Path(directory)
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
        survived = survives(mutant, copy)
    verdict = "SURVIVED" if survived else "caught"
    print(f"{verdict:8} {time.monotonic() - began:5.1f} s  {mutant.name}", flush=True)
    return survived


def main(words: list[str]) -> int:
    """Prints how each mutant fared; 1 if one survived."""
    chosen = [m for m in load_mutants() if not words or any(word in m.name for word in words)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        survivors = sum(pool.map(judge, chosen))
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants were caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
