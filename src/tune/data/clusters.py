"""Which of N rows belong together, directly or through others."""


class Clusters:
    """Which of N rows belong together, directly or through others (union-find)."""

    def __init__(self, n_rows: int) -> None:
        self._parent = list(range(n_rows))

    def join(self, one: int, two: int) -> None:
        """Put two rows, and all that belong to either, together."""
        one, two = self._root(one), self._root(two)
        self._parent[max(one, two)] = min(one, two)

    def numbers(self) -> list[int]:
        """Return (N,) the index of the first row of each row's cluster."""
        return [self._root(row) for row in range(len(self._parent))]

    def _root(self, row: int) -> int:
        while self._parent[row] != row:
            self._parent[row] = self._parent[self._parent[row]]
            row = self._parent[row]
        return row
