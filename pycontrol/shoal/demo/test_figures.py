# SPDX-License-Identifier: BSD-3-Clause
from shoal.demo.figures import Ledger
from shoal.model import ComponentStatistics, Statistic
from shoal_dataplane import StatisticKind


def component(name: str, process: int, **values: int) -> ComponentStatistics:
    """`drops_total__reason=3`: with a label's value."""
    rows = []
    for key, value in values.items():
        figure, _, label = key.partition("__")
        rows.append(Statistic(figure, "reason" if label else "", label, StatisticKind.COUNTER, value))
    return ComponentStatistics(name, process, tuple(rows))


def test_an_instance_that_ended_keeps_its_figures() -> None:
    ledger = Ledger()
    ledger.enter([component("nat-1", 10, packets_received_total=5, takes_remote_total=1, calls_remote_total=2)])
    ledger.enter([component("nat-2", 11, packets_received_total=7, leases_moved_out_total=4)])
    first, second = ledger.instances
    assert (first.name, first.pid, first.packets, first.remote_accesses) == ("nat-1", 10, 5, 3)
    assert (second.packets, second.leases_moved) == (7, 4)


def test_a_later_process_of_the_same_name_is_another_one() -> None:
    ledger = Ledger()
    ledger.enter([component("nat-1", 10, packets_received_total=5)])
    ledger.enter([component("nat-1", 12, packets_received_total=1)])
    assert [instance.pid for instance in ledger.instances] == [10, 12]


def test_drops_are_summed_by_reason_over_components() -> None:
    ledger = Ledger()
    ledger.enter(
        [
            component("nat-1", 10, drops_total__no_port=2, drops_total__runt=0),
            component("nat-2", 11, drops_total__no_port=3),
            component("splitter", 12, splitter_drops_total__parking_full=1, splitter_parked_packets=9),
        ]
    )
    assert ledger.drops == {"instance.no_port": 5, "splitter.parking_full": 1}
    assert ledger.parked == 9
    assert [instance.name for instance in ledger.instances] == ["nat-1", "nat-2"]


def test_what_came_in_counts_as_moved() -> None:
    ledger = Ledger()
    ledger.enter([component("nat-1", 10, leases_moved_out_total=8)])
    ledger.enter([component("nat-2", 11, leases_moved_in_total=8, records_moved_in_total=5)])
    assert ledger.objects_moved == 13


def test_what_was_counted_before_is_left_out() -> None:
    """Trials of the rate lose packets, and count them, before the run that is reported."""
    trial = component("nat-1", 10, packets_received_total=100, drops_total__no_port=7, drops_total__runt=1)
    ledger = Ledger([trial])
    ledger.enter([component("nat-1", 10, packets_received_total=130, drops_total__no_port=9, drops_total__runt=1)])
    ledger.enter([component("nat-1", 12, packets_received_total=5, drops_total__no_port=1)])
    assert [instance.packets for instance in ledger.instances] == [30, 5]
    assert ledger.drops == {"instance.no_port": 3}


def test_a_level_is_no_count() -> None:
    waiting = Statistic("splitter_parked_packets", "", "", StatisticKind.GAUGE, 9)
    splitter = ComponentStatistics("splitter", 12, (waiting,))
    ledger = Ledger([splitter])
    ledger.enter([splitter])
    assert ledger.parked == 9
