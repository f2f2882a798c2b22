# SPDX-License-Identifier: BSD-3-Clause
from shoal_dataplane import InstanceConfig, SplitterConfig
from shoal_dataplane.door import text


def test_an_instances_configuration_crosses_field_by_field() -> None:
    config = InstanceConfig(
        name="nat-1",
        slab_directory="/dev/shm/x",
        nf_path="/x.so",
        member=3,
        life=2**40,
        cluster=2**63,
        hash_seed=2**64 - 1,
        objects_max=5,
        parked_max=6,
        microthreads_max=7,
        window=8,
        packets=9,
        take_deadline_ms=10,
        lease_ms=11,
        plane=2,
        remote_address="unix:/x",
        remote_name="y",
        pipe=1,
    )
    native = config.to_native()
    for field in InstanceConfig.__dataclass_fields__:
        value = getattr(native, field)
        assert (value if isinstance(value, int) else text(value)) == getattr(config, field)


def test_a_splitters_configuration_crosses_field_by_field() -> None:
    config = SplitterConfig("splitter", "/x.so", 1, 2, 3, 4)
    native = config.to_native()
    for field in SplitterConfig.__dataclass_fields__:
        value = getattr(native, field)
        assert (value if isinstance(value, int) else text(value)) == getattr(config, field)
