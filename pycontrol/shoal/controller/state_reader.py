# SPDX-License-Identifier: BSD-3-Clause
"""Objects of the space, asked of all instances and decoded by the NF's own types."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from shoal.controller.fleet import Running
from shoal.errors import InvalidRequestError, ShoalError
from shoal.model import ClassInformation, ClassState, DeathKey, InstanceState, StateObject, StatePlace, StateRow
from shoal.network_function.description import Description, ObjectClass
from shoal.network_function.fields import encode_key
from shoal_dataplane import Fate

PAGE: Final = 256
COUNT_S: Final = 4.0  # less than the caller waits
_PRESENT: Final = (InstanceState.ACTIVE, InstanceState.LEAVING, InstanceState.JOINING)


class StateReader:
    """Of the instances that are members now."""

    def __init__(self, description: Description, instances: tuple[Running, ...]) -> None:
        self._description = description
        self._instances = [each for each in instances if each.stored.state in _PRESENT and not each.ended]
        self._names = {each.stored.member: each.stored.name for each in self._instances}

    async def classes(self) -> tuple[ClassState, ...]:
        """All classes; objects and room are summed over the instances."""
        answers = await asyncio.gather(*(running.client.classes() for running in self._instances))
        found: dict[str, list[ClassInformation]] = {}
        for information in (each for answer in answers for each in answer):
            found.setdefault(information.name, []).append(information)
        return tuple(
            _class_state(each[0], sum(one.objects for one in each), sum(one.capacity for one in each))
            for each in found.values()
        )

    async def classes_in_store(self) -> tuple[ClassState, ...]:
        """Plane remote: the server is asked, by one instance that answers, for no longer than COUNT_S."""
        if not self._instances:
            return ()
        running = next((each for each in self._instances if not each.stalled), self._instances[0])
        classes = await running.client.classes()
        counts, cursor, end, remark = [0] * len(classes), 0, False, ""
        until = asyncio.get_running_loop().time() + COUNT_S
        try:
            while not end and asyncio.get_running_loop().time() < until:
                more, cursor, end = await running.client.state_count(cursor)
                counts = [count + one for count, one in zip(counts, more, strict=True)]
        except ShoalError as error:
            remark = str(error)
        if not end and not remark:
            remark = f"not all could be counted within {COUNT_S:g} s"
        return tuple(
            _class_state(each, count or (0 if end else None), None, at_least=bool(count) and not end, remark=remark)
            for each, count in zip(classes, counts, strict=True)
        )

    async def get(self, class_name: str, key: Mapping[str, str]) -> tuple[StateObject, ...]:
        """What each instance knows of one key."""
        object_class = self._description.object_class(class_name)
        data = encode_key(object_class.key, key)
        rows = await asyncio.gather(*(running.client.state_get(class_name, data) for running in self._instances))
        found = [(running, row) for running, row in zip(self._instances, rows, strict=True) if row is not None]
        if any(row.place is StatePlace.STORE for _, row in found):
            found = found[:1]  # it is the same one
        return tuple(self._decoded(object_class, running, row) for running, row in found)

    async def list(self, class_name: str, limit: int, instance: str) -> AsyncIterator[StateObject]:
        """Objects where they are (key records alone are left out); `limit` 0: all; `instance` "": of all."""
        object_class = self._description.object_class(class_name)
        left, in_store = limit or -1, False
        for running in self._instances:
            if instance and running.stored.name != instance:
                continue
            async for row in running.client.state_list(class_name, PAGE):
                if row.place is StatePlace.RECORD_ONLY:
                    continue
                yield self._decoded(object_class, running, row)
                in_store = in_store or row.place is StatePlace.STORE
                left -= 1
                if left == 0:
                    return
            if in_store:  # the others would tell the same
                return

    async def death_keys(self, view: int, fate: str, limit: int) -> AsyncIterator[DeathKey]:
        """Keys of what deaths did to objects; `view` 0, `fate` "", `limit` 0: all."""
        names = {each.name.lower(): each for each in Fate}
        if fate and fate not in names:
            raise InvalidRequestError(f"there is no fate {fate!r}: {', '.join(names)}")
        left = limit or -1
        for name in (fate,) if fate else names:
            for running in self._instances:
                async for row in running.client.fates(names[name]):
                    if view and row.view != view:
                        continue
                    key = self._description.object_class(row.class_name).decode_key(row.key)
                    yield DeathKey(row.view, name, row.class_name, running.stored.name, key)
                    left -= 1
                    if left == 0:
                        return

    def _decoded(self, object_class: ObjectClass, running: Running, row: StateRow) -> StateObject:
        return StateObject(
            class_name=object_class.name,
            instance=running.stored.name,
            holder=self._names.get(row.holder, ""),
            place=row.place.name.lower(),
            incarnation=row.incarnation,
            lease=row.lease,
            idle_ms=row.idle_ms,
            key=object_class.decode_key(row.key),
            object=object_class.decode_object(row.object),
        )


def _class_state(
    information: ClassInformation,
    objects: int | None,
    capacity: int | None,
    *,
    at_least: bool = False,
    remark: str = "",
) -> ClassState:
    return ClassState(
        name=information.name,
        multi_writer=information.multi_writer,
        key_bytes=information.key_bytes,
        object_bytes=information.object_bytes,
        objects=objects,
        capacity=capacity,
        at_least=at_least,
        remark=remark,
    )
