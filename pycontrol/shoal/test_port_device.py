# SPDX-License-Identifier: BSD-3-Clause
import subprocess
import sys

import pytest

from shoal.errors import RefusedError
from shoal.port_device import Claims, resources


def test_an_interface_is_one_ports_and_a_queue_of_it_too() -> None:
    assert resources("net_af_packet0,iface=eth0,blocksz=4096") == ("interface eth0",)
    assert resources("net_af_xdp0,iface=eth0,start_queue=2,queue_count=2") == (
        "queue 2 of interface eth0",
        "queue 3 of interface eth0",
    )
    assert resources("net_pcap0,rx_pcap=a.pcap,tx_pcap=/dev/null") == ()
    assert resources("net_pcap0,iface=eth0") == ("interface eth0",)
    assert resources("traffic") == resources("0000:03:00.0") == ()


def test_an_interface_that_another_process_has_is_busy_until_that_ends() -> None:
    device = "net_af_packet0,iface=shoaltest0"
    program = f"from shoal.port_device import Claims; held = Claims(['{device}']); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(RefusedError, match="interface shoaltest0 is busy"):
            Claims(["traffic", device])
        other.kill()
    Claims([device]).close()
    Claims([device]).close()
