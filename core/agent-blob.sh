#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# agent-blob.sh AGENT HEADER: the header that agent-blob.S includes. The assembler's dependencies do
# not show what .incbin reads: the checksum in the comment makes a new agent a new header.
printf '#define DUET_AGENT_FILE "%s"\n/* %s */\n' "$(realpath "$1")" "$(cksum <"$1")" >"$2"
