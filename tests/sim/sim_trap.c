/* SPDX-License-Identifier: BSD-3-Clause */
/* A process that is killed ends between two machine instructions. So does a doomed member: its code is stepped through one
 * instruction at a time, those of the library are counted, and at the chosen one the member never goes on; its slabs hold
 * what had been stored by then. Code of the simulator and of the C library is let go on to its end. Where the processor
 * offers no such steps to us, and under sanitizers, a member dies between two calls into it. */
#undef _FORTIFY_SOURCE /* it would refuse to leave a stack */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>
#include "sim_world.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define STEPS 1
#else
#define STEPS 0
#endif

#if STEPS
extern const char etext[]; /* the linker's: end of all code */

static struct {
	sigjmp_buf out;
	uint64_t left; /* instructions of the library until the end */
	bool ready;
} trap;

static void on_step(int number, siginfo_t *information, void *context)
{
	uintptr_t at = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	(void)number, (void)information;
	if (at > (uintptr_t)sim_code_end && at < (uintptr_t)etext && !--trap.left)
		siglongjmp(trap.out, 1);
}

static void make_ready(void)
{
	static char stack[65536];
	const stack_t own = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	if (trap.ready)
		return;
	if (sigaltstack(&own, NULL) || sigaction(SIGTRAP, &action, NULL))
		abort();
	trap.ready = true;
}

/* The processor's trap flag. The red zone is stepped over first. */
static inline __attribute__((always_inline)) void step(bool on)
{
	if (on)
		__asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::
					 : "memory", "cc");
	else
		__asm__ volatile(
			"lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::
				: "memory", "cc");
}

bool sim_mortal_run(struct sim_member *member, void (*run)(void *argument), void *argument)
{
	struct sim_member *volatile doomed = member;

	if (!member->doomed) {
		run(argument);
		return true;
	}
	make_ready();
	trap.left = member->instructions_left;
	if (sigsetjmp(trap.out, 1)) {
		step(false);
		doomed->torn_off = true;
		sim_kill(doomed->world, doomed);
		return false;
	}
	step(true);
	run(argument);
	step(false);
	doomed->instructions_left = trap.left;
	return true;
}
#else
bool sim_mortal_run(struct sim_member *member, void (*run)(void *argument), void *argument)
{
	uint64_t typical = 2000; /* instructions of one call */

	run(argument);
	if (!member->doomed)
		return true;
	if (member->instructions_left > typical) {
		member->instructions_left -= typical;
		return true;
	}
	sim_kill(member->world, member);
	return false;
}
#endif
