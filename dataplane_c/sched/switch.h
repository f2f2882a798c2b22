/* SPDX-License-Identifier: BSD-3-Clause */
/* Goes from one stack to another. In assembler: switch_x86_64.S, switch_aarch64.S. */
#ifndef SHOAL_SCHED_SWITCH_H
#define SHOAL_SCHED_SWITCH_H

#include <stdbool.h>

/* Saves what a called function must preserve on the present stack, stores that stack's pointer in *from, and goes on where
 * `to` was left, where the call returns
 * `answer`. Floating-point control words are not switched: nobody in the data path changes them. */
unsigned shoal_switch(void **from, void *to, unsigned answer);

/* The same, but goes to the beginning of a stack that nothing lies on: calls entry(argument) below `top`, a multiple of 16.
 * entry must not return. Whoever comes back answers with 0 or 1. */
bool shoal_switch_begin(void *argument, void **from, void *top, void (*entry)(void *argument));

/* Goes on where `to` was left, and leaves nothing to come back to. */
void shoal_switch_end(void *to, unsigned answer);

/* The same as shoal_switch_end, where `to` was left by shoal_switch_begin, and each call since has returned: here alone the
 * processor's record of calls is right, and stays so for the returns to come. */
void shoal_switch_return(void *to, unsigned answer);

#endif
