"""One meaning a word: no two classes of the package have one name."""

import ast
from collections import Counter
from pathlib import Path

import brex_sync


def test_no_class_name_is_there_twice() -> None:
    package = Path(brex_sync.__file__).parent
    trees = [ast.parse(path.read_text()) for path in package.rglob("*.py")]
    names = Counter(
        node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)
    )
    assert len(names) > 300
    assert [name for name, times in names.items() if times > 1] == []
