/* SPDX-License-Identifier: BSD-3-Clause */
/* AAPCS64. A frame on a stack that was left, from its pointer upwards: x19 to x28, x29, x30 (where to go on), d8 to d15. */

	.text

	.globl shoal_switch
	.hidden shoal_switch
	.type shoal_switch, %function
	.p2align 5
shoal_switch: /* x0: from, x1: to */
	.cfi_startproc
	hint 34 /* bti c */
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
	mov x2, sp
	str x2, [x0]
	mov sp, x1
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
	.cfi_endproc
	.size shoal_switch, . - shoal_switch

	.globl shoal_switch_prepare
	.hidden shoal_switch_prepare
	.type shoal_switch_prepare, %function
	.p2align 4
shoal_switch_prepare: /* x0: top, x1: entry, x2: argument */
	.cfi_startproc
	hint 34 /* bti c */
	and x0, x0, -16
	sub x0, x0, 176 /* the frame, and 16 bytes that stay free */
	adr x3, begin
	stp x1, x2, [x0] /* x19, x20 */
	stp xzr, xzr, [x0, 16]
	stp xzr, xzr, [x0, 32]
	stp xzr, xzr, [x0, 48]
	stp xzr, xzr, [x0, 64]
	stp xzr, x3, [x0, 80]
	stp xzr, xzr, [x0, 96]
	stp xzr, xzr, [x0, 112]
	stp xzr, xzr, [x0, 128]
	stp xzr, xzr, [x0, 144]
	ret
	.cfi_endproc
	.size shoal_switch_prepare, . - shoal_switch_prepare

	.type begin, %function
	.p2align 4
begin: /* x19: entry, x20: argument */
	.cfi_startproc
	.cfi_undefined x30 /* the first frame of its stack */
	mov x0, x20
	blr x19
	brk 1
	.cfi_endproc
	.size begin, . - begin

	.section .note.GNU-stack, "", %progbits

	.section .note.gnu.property, "a"
	.p2align 3
	.word 4, 16, 5 /* length of "GNU", of the property, NT_GNU_PROPERTY_TYPE_0 */
	.asciz "GNU"
	.word 0xc0000000, 4, 1, 0 /* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI */
