# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Iterator

import pytest

from shoal.controller.fleet import Fleet
from shoal.controller.launcher import LocalLauncher
from shoal.controller.store import Store, StoredInstance
from shoal.errors import InvalidRequestError
from shoal.event_log import EventLog
from shoal.model import InstanceState
from shoal.run_directory import ProcessIdentity, RunDirectory, write_pid_file
from shoal_dataplane import MEMBERS_MAX


@pytest.fixture
def store(run_directory: RunDirectory) -> Iterator[Store]:
    run_directory.create()
    made = Store(run_directory.store)
    yield made
    made.close()


def fleet_of(store: Store, run_directory: RunDirectory) -> Fleet:
    return Fleet(store, LocalLauncher(), run_directory, EventLog(), lambda _: None)


async def test_two_that_start_instances_at_once_take_different_numbers(
    store: Store, run_directory: RunDirectory
) -> None:
    fleet = fleet_of(store, run_directory)
    with fleet.reserved(2) as first, fleet.reserved(1) as second:
        assert (tuple(first), tuple(second)) == ((0, 1), (2,))
        with pytest.raises(InvalidRequestError), fleet.reserved(MEMBERS_MAX - 2):
            pass
    assert fleet.numbers == frozenset()


async def test_one_that_was_just_being_started_is_found_by_its_word(store: Store, run_directory: RunDirectory) -> None:
    """Its controller died before it could persist the process."""
    fleet = fleet_of(store, run_directory)
    directory = run_directory.instance("nat-1")
    directory.path.mkdir(mode=0o700)
    write_pid_file(directory.pid_file)
    running = fleet.take_up(StoredInstance("nat-1", 0, 1, "", InstanceState.STARTING))
    try:
        assert running.process_lives
        assert running.process is not None
        assert running.process.identity == ProcessIdentity.of(running.stored.pid)
        assert fleet.numbers == {0}
    finally:
        await fleet.close()
