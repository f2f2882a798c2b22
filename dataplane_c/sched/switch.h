/* SPDX-License-Identifier: BSD-3-Clause */
/* Goes from one stack to another. In assembler: switch_x86_64.S, switch_aarch64.S. */
#ifndef SHOAL_SCHED_SWITCH_H
#define SHOAL_SCHED_SWITCH_H

/* Saves what a called function must preserve on the present stack, stores that stack's pointer in *from, and goes on where
 * `to` was left. Floating-point control words are not switched: nobody in the data path changes them. */
void shoal_switch(void **from, void *to);

/* Writes the first frame below `top`, so that a switch to the answer calls entry(argument) on that stack. entry must not
 * return. */
void *shoal_switch_prepare(void *top, void (*entry)(void *argument), void *argument);

#endif
