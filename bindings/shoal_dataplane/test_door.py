# SPDX-License-Identifier: BSD-3-Clause
import errno

import pytest

from shoal_dataplane import DataplaneError, create_ring_pair
from shoal_dataplane.door import check, ffi, put_text, text


def test_an_answer_of_zero_or_more_passes() -> None:
    assert [check(0), check(17)] == [0, 17]


def test_a_negative_answer_becomes_an_exception_with_its_code() -> None:
    with pytest.raises(DataplaneError) as caught:
        check(-errno.ENOSPC)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.name == "ENOSPC"
    assert caught.value.sentence


def test_a_string_that_does_not_fit_is_refused_and_one_that_does_arrives() -> None:
    structure = ffi.new("struct shoal_runner_config *")
    put_text(structure, "name", "x" * 15)
    assert text(structure.name) == "x" * 15
    with pytest.raises(DataplaneError, match="longer than 15 bytes"):
        put_text(structure, "name", "x" * 16)


def test_a_ring_of_an_odd_size_is_refused() -> None:
    with pytest.raises(DataplaneError):
        create_ring_pair(5000)
