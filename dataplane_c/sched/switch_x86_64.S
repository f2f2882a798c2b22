/* SPDX-License-Identifier: BSD-3-Clause */
/* System V ABI. A frame on a stack that was left, from its pointer upwards: r15 r14 r13 r12 rbx rbp, where to go on.
 *
 * The way out is `pop` and `jmp`, not `ret`: the processor predicts a `ret` from its own record of calls, which always
 * names the stack that is being left. `notrack`: the place after a call carries no ENDBR64. The note at the end says that
 * the code is fit for indirect branch tracking and not for a shadow stack, so that the linker asks for none in what it
 * builds from this. */

	.macro begins name
	.globl \name
	.hidden \name
	.type \name, @function
	.p2align 5
\name:
	.cfi_startproc
	endbr64
	.endm

	.macro ends name
	.cfi_endproc
	.size \name, . - \name
	.endm

	.macro save
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	.endm

	.macro load
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	.cfi_def_cfa %rsp, 8
	.endm

	/* Where the stack was left. */
	.macro go_on
	popq %rcx
	.cfi_def_cfa %rsp, 0
	.cfi_register %rip, %rcx
	notrack jmp *%rcx
	.endm

	.text

	begins shoal_switch /* rdi: from, rsi: to, edx: answer */
	save
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	movl %edx, %eax
	.cfi_def_cfa %rsp, 56
	.cfi_offset %r15, -56
	.cfi_offset %r14, -48
	.cfi_offset %r13, -40
	.cfi_offset %r12, -32
	.cfi_offset %rbx, -24
	.cfi_offset %rbp, -16
	load
	go_on
	ends shoal_switch

	begins shoal_switch_begin /* rdi: argument, rsi: from, rdx: top, rcx: entry */
	save
	movq %rsp, (%rsi)
	.cfi_undefined %rip /* the first frame of its stack */
	movq %rdx, %rsp
	xorl %ebp, %ebp
	pushq $0
	notrack jmp *%rcx
	ends shoal_switch_begin

	begins shoal_switch_end /* rdi: to, esi: answer */
	movq %rdi, %rsp
	movl %esi, %eax
	.cfi_def_cfa %rsp, 56
	load
	go_on
	ends shoal_switch_end

	begins shoal_switch_return /* rdi: to, esi: answer */
	movq %rdi, %rsp
	movl %esi, %eax
	.cfi_def_cfa %rsp, 56
	load
	ret
	ends shoal_switch_return

	.section .note.GNU-stack, "", @progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long 4, 16, 5 /* length of "GNU", of the property, NT_GNU_PROPERTY_TYPE_0 */
	.asciz "GNU"
	.long 0xc0000002, 4, 1, 0 /* GNU_PROPERTY_X86_FEATURE_1_AND: IBT */
