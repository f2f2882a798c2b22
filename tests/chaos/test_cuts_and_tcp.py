# SPDX-License-Identifier: BSD-3-Clause
"""TCP of the kernel through a NAT whose instances are on two hosts between which all is lost for a while: connections
go on while it lasts, and none is lost when objects move afterwards. The packets' way is that of test_deaths_and_tcp.py;
tests/smoke/hosts.py has the picture of the hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.test_deaths_and_tcp import CONNECTIONS, PAUSE_MS, PORT, all_live, event, none_has_failed
from tests.smoke.cut_off import LATE_MS, LEASE_MS
from tests.smoke.deployment import deployed, nat_config
from tests.smoke.hosts import hosts
from tests.smoke.network import Network
from tests.smoke.program import program

pytestmark = pytest.mark.long


@pytest.mark.timeout(300)
async def test_no_connection_is_lost_where_a_cut_heals(nat_network: Network, directory: Path) -> None:
    net = nat_network
    talk = (net.server_address, PORT, CONNECTIONS, PAUSE_MS, *net.client_addresses)
    with hosts(2) as two:
        config = nat_config(net, two.config(LEASE_MS, LATE_MS)).replace("count: 1", "count: 2")
        async with (
            deployed(net.nat, config, directory) as deployment,
            program(net.server, "tests.smoke.traffic_server", net.server_address, PORT, 10**8, ready="ready"),
            program(net.client, "tests.chaos.talker", *talk) as talking,
        ):
            assert await talking.until("ready", 60) == CONNECTIONS
            two.cut("b")
            await event(deployment, "host.suspect")
            await all_live(talking)  # each is handled where it is: nothing has to cross
            two.heal()
            await event(deployment, "host.heard")
            for instances in (3, 1, 2):
                await deployment.scale(instances)
                await all_live(talking)
            await none_has_failed(talking)
