"""Every mutant of `make mutation-test` still applies to the code as it is."""

import pytest

from brex_sync_tests.mutants import ROOT, Mutant, load_mutants


@pytest.mark.parametrize("mutant", load_mutants(), ids=lambda mutant: mutant.name)
def test_it_changes_one_place_and_names_tests_that_are_there(mutant: Mutant) -> None:
    whole = (ROOT / "brex_sync" / mutant.file).read_text()
    assert whole.count(mutant.old) == 1
    assert mutant.old != mutant.new
    assert (ROOT / "brex_sync_tests" / mutant.tests.partition("::")[0]).exists()
