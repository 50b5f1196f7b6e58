#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# man.sh DUET TEMPLATE VERSION: prints the man page: the template with the commands of the binary in
# the place of the line @COMMANDS@.
set -eu
here=$(dirname "$0")
commands=$("$here/commands.sh" "$1")

printf '%s\n' "$commands" | awk -F '\t' -v template="$2" -v version="$3" '
  function roff(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    return text
  }
  # What many commands share with run is listed there alone.
  function flush() {
    if (n_shared > 4)
      page = page ".PP\nAnd, as for \\fBrun\\fP: " shared ".\n"
    else
      page = page shared_rows
    n_shared = 0
    shared = shared_rows = ""
  }
  $1 == "c" {
    flush()
    # A command with commands of its own is told by them.
    if ($3 ~ /^COMMAND/) next
    page = page ".SS \"" roff($2 " " $3) "\"\n" toupper(substr($4, 1, 1)) roff(substr($4, 2)) ".\n"
  }
  $1 == "o" && $3 !~ /--help/ {
    split($3, names, " ")
    row = ".TP\n"
    for (i = 1; i in names; i++)
      row = row (i > 1 ? ", " : "") "\\fB" roff(names[i]) "\\fP"
    if ($4 != "") row = row "=\\fI" roff($4) "\\fP"
    row = row "\n" roff($5) "\n"
    if ($2 == "run") in_run[$3 $4 $5] = 1
    if ($2 != "run" && ($3 $4 $5) in in_run) {
      shared = shared (n_shared++ ? ", " : "") "\\fB" roff(names[i - 1]) "\\fP"
      shared_rows = shared_rows row
    } else {
      page = page row
    }
    for (i in names) delete names[i]
  }
  END {
    flush()
    while ((getline line < template) > 0)
      if (line == "@COMMANDS@") printf "%s", page
      else {
        sub(/@VERSION@/, version, line)
        print line
      }
  }'
