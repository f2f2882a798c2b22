/* SPDX-License-Identifier: BSD-3-Clause */
/* System V ABI. A frame on a stack that was left, from its pointer upwards: r15 r14 r13 r12 rbx rbp, where to go on.
 *
 * The way out is `pop` and `jmp`, not `ret`: the processor predicts a `ret` from its own record of calls, which always
 * names the stack that is being left. `notrack`: the place after a call carries no ENDBR64. The note at the end says that
 * the code is fit for indirect branch tracking and not for a shadow stack, so that the linker asks for none in what it
 * builds from this. */

	.text

	.globl shoal_switch
	.hidden shoal_switch
	.type shoal_switch, @function
	.p2align 5
shoal_switch: /* rdi: from, rsi: to */
	.cfi_startproc
	endbr64
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	.cfi_def_cfa %rsp, 56
	.cfi_offset %r15, -56
	.cfi_offset %r14, -48
	.cfi_offset %r13, -40
	.cfi_offset %r12, -32
	.cfi_offset %rbx, -24
	.cfi_offset %rbp, -16
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	.cfi_def_cfa %rsp, 8
	popq %rcx
	.cfi_def_cfa %rsp, 0
	.cfi_register %rip, %rcx
	notrack jmp *%rcx
	.cfi_endproc
	.size shoal_switch, . - shoal_switch

	.globl shoal_switch_prepare
	.hidden shoal_switch_prepare
	.type shoal_switch_prepare, @function
	.p2align 4
shoal_switch_prepare: /* rdi: top, rsi: entry, rdx: argument */
	.cfi_startproc
	endbr64
	andq $-16, %rdi
	leaq -72(%rdi), %rax /* seven words, and 16 bytes that stay free */
	leaq begin(%rip), %rcx
	movq $0, (%rax)
	movq $0, 8(%rax)
	movq %rdx, 16(%rax) /* r13 */
	movq %rsi, 24(%rax) /* r12 */
	movq $0, 32(%rax)
	movq $0, 40(%rax)
	movq %rcx, 48(%rax)
	ret
	.cfi_endproc
	.size shoal_switch_prepare, . - shoal_switch_prepare

	.type begin, @function
	.p2align 4
begin: /* r12: entry, r13: argument; the stack is 16-aligned */
	.cfi_startproc
	.cfi_undefined %rip /* the first frame of its stack */
	movq %r13, %rdi
	notrack call *%r12
	ud2
	.cfi_endproc
	.size begin, . - begin

	.section .note.GNU-stack, "", @progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.long 4, 16, 5 /* length of "GNU", of the property, NT_GNU_PROPERTY_TYPE_0 */
	.asciz "GNU"
	.long 0xc0000002, 4, 1, 0 /* GNU_PROPERTY_X86_FEATURE_1_AND: IBT */
