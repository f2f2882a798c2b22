/* SPDX-License-Identifier: BSD-3-Clause */
/* The last of the simulator's object files: code beyond this function is the library's (check_symbols.py looks). */
#include "sim_world.h"

void sim_code_end(void)
{
}
