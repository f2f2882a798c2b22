# SPDX-License-Identifier: BSD-3-Clause
import os

from shoal.eal_arguments import arguments, free_hugepage_mib, memory_mib

PLENTY = "HugePages_Free:    2048\nHugepagesize:       2048 kB\n"
NONE = "HugePages_Free:        0\nHugepagesize:       2048 kB\n"


def test_free_hugepages_are_counted_in_mib() -> None:
    assert free_hugepage_mib(PLENTY) == 4096
    assert free_hugepage_mib("nothing") == 0


def test_hugepages_where_there_are_enough_else_ordinary_memory() -> None:
    assert "--in-memory" in arguments("x", 65536, [], [], PLENTY)
    without = arguments("x", 65536, [], [], NONE)
    assert "--no-huge" in without
    assert without[without.index("-m") + 1] == str(memory_mib(65536, hugepages=False))


def test_hugepages_are_left_alone_where_the_operator_says_so() -> None:
    asked = arguments("x", 65536, [], ["--no-huge"], PLENTY)
    assert "--in-memory" not in asked  # EAL takes one or the other
    assert "-m" in asked


def test_only_named_pci_devices_are_touched() -> None:
    assert "--no-pci" in arguments("x", 1, ["net_af_packet0,iface=veth0"], [], NONE)
    with_pci = arguments("x", 1, ["0000:03:02.1,queues=1", "04:00.0"], [], NONE)
    assert [each for each in with_pci if each.startswith("--allow")] == ["--allow=0000:03:02.1", "--allow=04:00.0"]
    assert "--no-pci" not in with_pci


def test_the_program_comes_first_and_the_operators_words_last() -> None:
    found = arguments("x", 1, [], ["--log-level=8"], NONE)
    assert (found[0], found[-1]) == ("x", "--log-level=8")
    assert f"--lcores=0@{min(os.sched_getaffinity(0))}" in found
