/* SPDX-License-Identifier: BSD-3-Clause */
/* AAPCS64. A frame on a stack that was left, from its pointer upwards: x19 to x28, x29, x30 (where to go on), d8 to d15. */

	.macro begins name
	.globl \name
	.hidden \name
	.type \name, %function
	.p2align 5
\name:
	.cfi_startproc
	hint 34 /* bti c */
	.endm

	.macro ends name
	.cfi_endproc
	.size \name, . - \name
	.endm

	.macro save
	sub sp, sp, 160
	stp x19, x20, [sp]
	stp x21, x22, [sp, 16]
	stp x23, x24, [sp, 32]
	stp x25, x26, [sp, 48]
	stp x27, x28, [sp, 64]
	stp x29, x30, [sp, 80]
	stp d8, d9, [sp, 96]
	stp d10, d11, [sp, 112]
	stp d12, d13, [sp, 128]
	stp d14, d15, [sp, 144]
	.endm

	/* Where the stack was left. */
	.macro go_on
	.cfi_def_cfa sp, 160
	.cfi_offset x29, -80
	.cfi_offset x30, -72
	ldp x19, x20, [sp]
	ldp x21, x22, [sp, 16]
	ldp x23, x24, [sp, 32]
	ldp x25, x26, [sp, 48]
	ldp x27, x28, [sp, 64]
	ldp x29, x30, [sp, 80]
	ldp d8, d9, [sp, 96]
	ldp d10, d11, [sp, 112]
	ldp d12, d13, [sp, 128]
	ldp d14, d15, [sp, 144]
	add sp, sp, 160
	.cfi_def_cfa sp, 0
	.cfi_restore x29
	.cfi_restore x30
	ret
	.endm

	.text

	begins shoal_switch /* x0: from, x1: to, w2: answer */
	save
	mov x3, sp
	str x3, [x0]
	mov sp, x1
	mov w0, w2
	go_on
	ends shoal_switch

	begins shoal_switch_begin /* x0: argument, x1: from, x2: top, x3: entry */
	save
	mov x4, sp
	str x4, [x1]
	mov sp, x2
	.cfi_undefined x30 /* the first frame of its stack */
	mov x29, 0
	mov x30, 0
	mov x16, x3 /* whence a jump may go where a call may */
	br x16
	ends shoal_switch_begin

	begins shoal_switch_end /* x0: to, w1: answer */
	mov sp, x0
	mov w0, w1
	go_on
	ends shoal_switch_end

	/* A return that the processor predicts right is no other instruction here. */
	.globl shoal_switch_return
	.hidden shoal_switch_return
	.set shoal_switch_return, shoal_switch_end

	.section .note.GNU-stack, "", %progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.word 4, 16, 5 /* length of "GNU", of the property, NT_GNU_PROPERTY_TYPE_0 */
	.asciz "GNU"
	.word 0xc0000000, 4, 1, 0 /* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI */
