"""Rows that must stay together: of one group, nearly the same, or saying the same, directly or through others."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from tune.data.clusters import Clusters
from tune.data.draw import lot
from tune.examples import Example


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """Rows that go to one split together."""

    members: tuple[int, ...]
    """Indices of its rows, ascending."""

    position: float
    """From 0 up to but not 1: where it stands between the two ends that validation and test are taken from."""

    label: str | None
    """The label of all its rows; None where they have several, or none."""

    def __len__(self) -> int:
        """Return the number of its rows."""
        return len(self.members)


def components(
    rows: Sequence[Example], clusters: Sequence[int], keys: Sequence[bytes], *, seed: int
) -> list[Component]:
    """Return every row in exactly one component, ascending by position.

    A component is known by the smallest key among its rows, where the key of a row with a group is made of the
    group's name and that of any other row of its content: a group keeps its position however many rows it gains.
    The position is drawn anew from that key, since the smallest of many draws is small: taken as it is, it would
    bring the large components into the lower end.

    Args:
        rows: What is divided.
        clusters: For each row, the number of its cluster of near-duplicates; a row alone has a number of its own.
        keys: The `content_key` of each row.
        seed: `data.seed`.
    """
    gathered: dict[int, list[int]] = defaultdict(list)
    for index, root in enumerate(_roots(rows, clusters, keys)):
        gathered[root].append(index)
    known = sorted((min(_identity(rows[i], keys[i]) for i in members), members) for members in gathered.values())
    made = [
        Component(members=tuple(members), position=lot(key, seed=seed, purpose="split"), label=_label(rows, members))
        for key, members in known
    ]
    return sorted(made, key=lambda component: component.position)


def _identity(row: Example, key: bytes) -> bytes:
    return key if row.group is None else blake2b(repr(("group", row.group)).encode(), digest_size=16).digest()


def _label(rows: Sequence[Example], members: list[int]) -> str | None:
    labels = {rows[i].label for i in members}
    return labels.pop() if len(labels) == 1 else None


def _roots(rows: Sequence[Example], clusters: Sequence[int], keys: Sequence[bytes]) -> list[int]:
    """Return for each row the index that stands for its component through all ties."""
    together = Clusters(len(rows))
    first: dict[Hashable, int] = {}
    for index in range(len(rows)):
        for tie in _ties(rows[index], clusters[index], keys[index]):
            together.join(first.setdefault(tie, index), index)
    return together.numbers()


def _ties(row: Example, cluster: int, key: bytes) -> Iterator[Hashable]:
    yield key
    yield cluster
    if row.group is not None:
        yield row.group  # bytes, int and str never equal each other
