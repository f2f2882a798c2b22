/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks the switch alone, on any architecture: exit status 0, or a sentence. A program of its own, so that it can be built
 * for another processor and run under an emulator. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "sched/switch.h"

#define ROUNDS 100000

static void *home, *away;
static char *top;
static unsigned begun, ended;
static uint64_t visits;
static int faults;

/* The other side is `ahead` rounds ahead. Keeps more values alive across the switch than there are registers to preserve, doubles among them. */
static void keep_over_switches(void **from, void **to, uint64_t seed, unsigned ahead)
{
	uint64_t words[12];
	double fractions[10];

	for (int i = 0; i < 12; i++)
		words[i] = seed * 2654435761U + (uint64_t)i;
	for (int i = 0; i < 10; i++)
		fractions[i] = (double)seed + i / 16.0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t a = words[0], b = words[1], c = words[2], d = words[3], e = words[4], f = words[5];
		double p = fractions[0], q = fractions[1], r = fractions[2], s = fractions[3];

		__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
		faults += shoal_switch(from, *to, round + 1) != (round + ahead) % ROUNDS + 1;
		visits++;
		for (int i = 0; i < 6; i++)
			faults += words[i] != seed * 2654435761U + (uint64_t)i;
		faults += a != words[0] || b != words[1] || c != words[2] || d != words[3] || e != words[4] ||
		          f != words[5];
		faults += p != (double)seed || q != (double)seed + 1 / 16.0;
		faults += r != (double)seed + 2 / 16.0 || s != (double)seed + 3 / 16.0;
	}
}

static void check_beginning(void *argument)
{
	/* The ABI's alignment, which vector stores rely on. */
	faults += (uintptr_t)__builtin_frame_address(0) % 16 != 0;
	faults += argument != &visits;
	begun++;
}

static void entry(void *argument)
{
	check_beginning(argument);
	for (;;)
		keep_over_switches(&away, &home, 7, 0);
}

static void short_entry(void *argument)
{
	check_beginning(argument);
	if (++ended % 2)
		shoal_switch_return(home, ended % 2);
	else
		shoal_switch_end(home, ended % 2);
}

/* A stack that is left for good, each time anew, with values that live on across. */
static void begin_anew(void)
{
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		uint64_t words[12];
		double fraction = (double)round / 16;

		for (unsigned i = 0; i < 12; i++)
			words[i] = round * 2654435761U + i;
		faults += shoal_switch_begin(&visits, &home, top, short_entry) != round % 2;
		for (unsigned i = 0; i < 12; i++)
			faults += words[i] != round * 2654435761U + i;
		faults += fraction != (double)round / 16;
	}
	faults += begun != ROUNDS || ended != ROUNDS;
}

int main(void)
{
	size_t bytes = 65536;
	char *stack = aligned_alloc(16, bytes);

	if (!stack)
		return 2;
	top = stack + bytes;
	begin_anew();
	faults += shoal_switch_begin(&visits, &home, top, entry) != true;
	keep_over_switches(&home, &away, 3, 1);
	if (faults || visits != 2 * ROUNDS) {
		printf("%d values changed over a switch; %llu visits\n", faults, (unsigned long long)visits);
		return 1;
	}
	free(stack);
	return 0;
}
