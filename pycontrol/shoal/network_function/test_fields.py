# SPDX-License-Identifier: BSD-3-Clause
import pytest

from shoal.errors import InvalidRequestError, NotFoundError
from shoal.model import Field
from shoal.network_function.description import Description, describe, find
from shoal.network_function.fields import decode, encode_key
from shoal.network_function.layout import Array, Characters, Enumeration, Member, Number, Structure

NAT_KEY = bytes([10, 0, 0, 1, 0x04, 0xD2, 17, 0])


@pytest.fixture(scope="module")
def nat() -> Description:
    return describe(find("nat", None))


def test_the_nat_tells_its_ports_and_classes(nat: Description) -> None:
    assert nat.name == "nat"
    assert nat.ports == ("inside", "outside")
    assert [each.name for each in nat.classes] == ["nat.mapping", "nat.pool", "nat.reverse"]
    assert nat.port_number("outside") == 1
    with pytest.raises(NotFoundError, match="inside, outside"):
        nat.port_number("middle")


def test_a_key_is_written_in_both_ways_and_read_back(nat: Description) -> None:
    mapping = nat.object_class("nat.mapping")
    by_fields = encode_key(mapping.key, {"address": "10.0.0.1", "port": "1234", "protocol": "udp"})
    assert by_fields == encode_key(mapping.key, {"": "10.0.0.1:1234/udp"}) == NAT_KEY
    assert mapping.decode_key(NAT_KEY) == (
        Field("address", "10.0.0.1"),
        Field("port", 1234),
        Field("protocol", "udp"),
    )


def test_an_object_is_read_with_what_lies_in_it(nat: Description) -> None:
    mapping = nat.object_class("nat.mapping")
    fields = {field.name: field.value for field in mapping.decode_object(bytes(mapping.object.size))}
    assert "zero" not in fields
    translation = fields["translation"]
    assert isinstance(translation, tuple)
    assert "address" in [field.name for field in translation]
    assert mapping.decode_object(b"") == ()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"address": "10.0.0.1", "port": "1"}, "'protocol' is missing"),
        ({"address": "10.0.0.1", "port": "1", "protocol": "6", "colour": "red"}, "'colour' is no field"),
        ({"address": "::1", "port": "1", "protocol": "6"}, "address: '::1' is not an IPv4 address"),
        ({"address": "10.0.0.1", "port": "65536", "protocol": "6"}, "'65536' is not a whole number from 0 to 65535"),
        ({"address": "10.0.0.1", "port": "-1", "protocol": "6"}, "'-1' is not a whole number from 0 to 65535"),
        ({"address": "10.0.0.1", "port": "many", "protocol": "6"}, "'many' is not a whole number"),
        ({"address": "10.0.0.1", "port": "1", "protocol": "blah"}, "from 0 to 255, or icmp, tcp, udp, icmp6, sctp"),
        ({"": "10.0.0.1/udp"}, "a key is address/port/protocol"),
    ],
)
def test_a_wrong_key_is_refused_with_its_field(nat: Description, values: dict[str, str], reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        encode_key(nat.object_class("nat.mapping").key, values)


def test_every_kind_of_member_is_read() -> None:
    layout = Structure(
        "all",
        32,
        (
            Member("flag", 0, Number(1, truth=True)),
            Member("low", 1, Number(1), (8, 3)),
            Member("high", 1, Number(1), (11, 5)),
            Member("name", 2, Characters(6)),
            Member("signed", 8, Number(4, signed=True)),
            Member("colour", 12, Enumeration(4, ((0, "RED"), (1, "GREEN")))),
            Member("pairs", 16, Array(Number(2), 2)),
            Member("real", 24, Number(8, real=True)),
        ),
    )
    data = bytes([1, 0b10101_011]) + b"ab\0\0\0\0" + b"\xfe\xff\xff\xff" + b"\1\0\0\0" + b"\1\0\2\0" + bytes(4)
    data += b"\0\0\0\0\0\0\xf8\x3f"
    assert {field.name: field.value for field in decode(layout, data)} == {
        "flag": True,
        "low": 0b011,
        "high": 0b10101,
        "name": "ab",
        "signed": -2,
        "colour": "GREEN",
        "pairs": (Field("0", 1), Field("1", 2)),
        "real": 1.5,
    }
