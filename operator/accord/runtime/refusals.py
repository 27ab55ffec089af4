"""What the API server refused of each object's wishes: the user's to know, and no longer than it is wished for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from accord.domain.plan import ObjectKey, Plan, Refusal


class Refusals:
    """A book that a kind keeps."""

    def __init__(self) -> None:
        self._book: dict[ObjectKey, dict[ObjectKey, Refusal]] = {}

    def refused(self, key: ObjectKey, child: ObjectKey, status: int, message: str) -> None:
        """The next decision knows of it."""
        self._book.setdefault(key, {})[child] = Refusal(status, message)

    def taken(self, key: ObjectKey, child: ObjectKey) -> None:
        """Whatever was refused before."""
        self._book.get(key, {}).pop(child, None)

    def of(self, key: ObjectKey) -> Mapping[ObjectKey, Refusal]:
        """What is refused now, by the object that was wanted."""
        return dict(self._book.get(key, {}))

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._book.pop(key, None)

    def decide(self, key: ObjectKey, decide: Callable[[], Plan]) -> Plan:
        """The decision, taken again without the refusals of what it wants no more."""
        plan = decide()
        known = self._book.get(key, {})
        outdated = known.keys() - set(map(ObjectKey.of, (*plan.apply, *plan.patch)))
        if not outdated:
            return plan
        self._book[key] = {child: known[child] for child in known.keys() - outdated}
        return decide()
