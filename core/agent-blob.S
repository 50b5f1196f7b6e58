/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent-blob.h"

/* The agent program as data: it goes into a memfd for a container and into a VM's initramfs. */
    .section .rodata
    .balign 4096
    .global duet_agent_start
duet_agent_start:
    .incbin DUET_AGENT_FILE
    .global duet_agent_end
duet_agent_end:
    .byte 0
    .section .note.GNU-stack, "", @progbits
