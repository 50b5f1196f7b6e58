# SPDX-License-Identifier: LGPL-2.1-or-later
# A system of one sector for tests of disks: counts its boots in the disk's second sector, says so on
# the serial port, and then obeys: p powers off, r resets, i ignores the power button from then on,
# all else comes back. The power button powers it off.
	.code16
	.globl _start
	.set COM1, 0x3f8
	.set PM1_STATUS, 0x600		# where SeaBIOS puts both machines' ACPI registers
	.set PM1_ENABLE, 0x602
	.set PM1_CONTROL, 0x604
	.set BUTTON, 0x100
	.set COUNT, 0x8000

_start:	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movb	$0x42, %ah		# read
	call	disk
	incb	COUNT
	movw	$0x4300, %ax		# write
	call	disk
	movw	$boot, %si
	call	print
	movb	COUNT, %al
	addb	$'0', %al
	call	put
	movw	$end, %si
	call	print
	movw	$PM1_ENABLE, %dx
	movw	$BUTTON, %ax
	outw	%ax, %dx

next:	sti
	hlt				# 18 times a second
	movw	$PM1_STATUS, %dx
	inw	%dx, %ax
	testw	$BUTTON, %ax
	jz	typed
	movw	$BUTTON, %ax
	outw	%ax, %dx
	movw	$button, %si
	call	print
	cmpb	$0, ignore
	je	off
typed:	movw	$COM1 + 5, %dx
	inb	%dx, %al
	testb	$1, %al
	jz	next
	movw	$COM1, %dx
	inb	%dx, %al
	cmpb	$'p', %al
	je	off
	cmpb	$'r', %al
	je	reset
	call	put
	cmpb	$'i', %al
	jne	typed
	incb	ignore
	jmp	typed

off:	movw	$PM1_CONTROL, %dx
	movw	$0x2000, %ax
	outw	%ax, %dx
	jmp	off
reset:	movw	$0xcf9, %dx
	movb	$6, %al
	outb	%al, %dx
	jmp	reset

disk:	movw	$packet, %si
	movb	$0x80, %dl
	int	$0x13
	ret
print:	lodsb
	testb	%al, %al
	jz	done
	call	put
	jmp	print
put:	movb	%al, %ah
	movw	$COM1 + 5, %dx
busy:	inb	%dx, %al
	testb	$0x20, %al
	jz	busy
	movw	$COM1, %dx
	movb	%ah, %al
	outb	%al, %dx
done:	ret

boot:	.asciz	"tiny: boot "
button:	.asciz	"tiny: button"
end:	.asciz	"\r\n"
ignore:	.byte	0
packet:	.byte	16, 0			# of int 13h: one sector, to COUNT, from the second
	.word	1, COUNT, 0
	.quad	1
	.org	510
	.word	0xaa55
