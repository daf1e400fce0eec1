"""Which change a unit is: another change of the same code has another id."""

from __future__ import annotations

from pathlib import Path

from tracediff.explain.evidence import Evidence
from tracediff.explain.identity import Identities
from tracediff.explain.pairing import pair

BOTH = """
class Item:
    @property
    def price(self):
        return 1

    @price.setter
    def price(self, value):
        self.value = value
"""


def ids(root: Path, new: str) -> list[str]:
    pairing = pair({"m.py": BOTH.encode()}, {"m.py": new.encode()}, {"m.py": "m"})
    known = Identities(pairing, root, root, Evidence(root, None, root, None, root))
    return [known.id_of([one]) for one in pairing.units]


def test_a_getter_and_a_setter_of_one_name_are_told_by_their_own_code(tmp_path: Path) -> None:
    getter = BOTH.replace("return 1", "return 2")
    found = [
        ids(tmp_path, one)
        for one in (
            getter,
            BOTH.replace("return 1", "return 3"),
            BOTH.replace("= value\n", "= -value\n"),
        )
    ]
    assert all(len(one) == 1 for one in found)
    assert len({one for (one,) in found}) == 3
    assert found[0][0] in ids(tmp_path, getter.replace("= value\n", "= -value\n"))
