# SPDX-License-Identifier: BSD-3-Clause
"""What a build for older processors must not contain."""

import pytest

from tests.ci.portable import FORBIDDEN, uses

AVX512 = "   1040:\tvmovdqu64 %zmm1,(%rdi)"
MASK = "   1048:\tkmovd  %k1,%eax"
AVX2 = "   1050:\tvpaddd %ymm0,%ymm1,%ymm2"
SSE = "   1058:\tmovdqu %xmm0,(%rdi)"


@pytest.mark.parametrize(("folder", "found"), [("build-v3", [AVX512, MASK]), ("build-v2", [AVX512, MASK, AVX2])])
def test_registers_of_newer_processors_are_found(folder: str, found: list[str]) -> None:
    assert uses([AVX512, MASK, AVX2, SSE], FORBIDDEN[folder]) == [line.strip() for line in found]
