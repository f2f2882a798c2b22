# SPDX-License-Identifier: BSD-3-Clause
"""The books of deaths: what became of the objects of each class. Instances count over all views since their start; what
one view did is the difference from what they said when the last one was complete."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

from shoal.controller.view_store import StoredView
from shoal.model import ClassLosses, DeadInstance, Deaths, ObjectCounts, ViewProgress

_FIELDS = tuple(field.name for field in dataclasses.fields(ObjectCounts))


class CountsLedger:
    """Totals over all views of this reign, by class."""

    def __init__(self) -> None:
        self.deaths = 0
        self.totals: dict[str, ObjectCounts] = {}

    @staticmethod
    def to_text(counts: Sequence[ObjectCounts]) -> str:
        return json.dumps([dataclasses.astuple(each) for each in counts])

    @staticmethod
    def from_text(text: str) -> tuple[ObjectCounts, ...]:
        """ "": an instance that has seen no view yet."""
        return tuple(ObjectCounts(*each) for each in json.loads(text)) if text else ()

    def report(
        self,
        view: StoredView,
        *,
        duration_ms: float,
        adopters: Mapping[int, str],
        reasons: Mapping[int, str],
        last_heard: Mapping[int, Sequence[int]],
        before: Mapping[str, str],
        after: Mapping[str, ViewProgress],
        classes: Sequence[str],
    ) -> Deaths:
        """`adopters`: name by dead member; `reasons`, `last_heard` (objects of each class): by life; `before`, `after`:
        by survivor."""
        instances = tuple(
            DeadInstance(
                corpse.worker.name,
                corpse.worker.member,
                corpse.worker.life,
                reasons.get(corpse.worker.life, ""),
                adopters.get(corpse.worker.member, ""),
                corpse.refusal,
            )
            for corpse in view.corpses
        )
        gone = [last_heard.get(instance.life, ()) for instance in instances if not instance.adopter]
        losses = []
        for index, name in enumerate(classes):
            counts = _difference(index, before, after)
            had = sum(objects[index] for objects in gone if index < len(objects))
            losses.append(ClassLosses(name, **dataclasses.asdict(counts), at_least=bool(gone), last_heard=had))
        return Deaths(view.number, view.started_ns, duration_ms, instances, tuple(losses))

    def add(self, deaths: Deaths) -> None:
        self.deaths += len(deaths.instances)
        for each in deaths.classes:
            total = self.totals.get(each.class_name, ObjectCounts())
            self.totals[each.class_name] = ObjectCounts(
                *(getattr(total, name) + getattr(each, name) for name in _FIELDS)
            )


def _difference(index: int, before: Mapping[str, str], after: Mapping[str, ViewProgress]) -> ObjectCounts:
    """Of the class with this index, over all survivors."""
    sums = dict.fromkeys(_FIELDS, 0)
    for name, progress in after.items():
        earlier = CountsLedger.from_text(before.get(name, ""))
        old = earlier[index] if index < len(earlier) else ObjectCounts()
        new = progress.counts[index] if index < len(progress.counts) else ObjectCounts()
        for field in _FIELDS:
            sums[field] += getattr(new, field) - getattr(old, field)
    return ObjectCounts(**sums)
