#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# commands.sh DUET: all commands and their options as lines of fields with tabs between, for man.sh
# and completion.sh. It asks the binary, so nothing is written down twice:
#
#   c  COMMAND  ARGUMENTS  SUMMARY              "image import" for a command of `duet image`
#   o  COMMAND  OPTION[ OPTION]  VALUE  TEXT    VALUE is empty for an option without one
set -eu
export LC_ALL=C ASAN_OPTIONS=detect_leaks=0
duet=$1
tab=$(printf '\t')

# The rows of a page's list "Commands:".
rows() { sed -n '/^Commands:/,/^$/s/^  *//p'; }

# The same of a command with commands of its own: each "COMMAND ARGUMENTS", a tab, and its summary.
rows_below() {
  sed -n '/^Commands:/,/^$/p' |
    awk '/^  [^ ]/ { row = substr($0, 3) } /^   / { sub(/^ +/, ""); print row "\t" $0 }'
}

# options COMMAND...: from the page of the command. A long text goes on in the next line.
options() {
  "$duet" "$@" --help | awk -v command="$*" -v OFS='\t' '
    function flush() {
      if (names != "") print "o", command, names, value, text
      names = ""
    }
    /^Options:/ { list = 1; next }
    list && names != "" && /^      +[^ ]/ {
      sub(/^ +/, "")
      text = text " " $0
      next
    }
    list && /^  -/ {
      flush()
      sub(/^ +/, "")
      text = $0
      sub(/^.*[^ ]   */, "", text)
      match($0, /  +/)
      names = substr($0, 1, RSTART - 1)
      text = substr($0, RSTART + RLENGTH)
      value = ""
      if (at = index(names, "=")) {
        value = substr(names, at + 1)
        names = substr(names, 1, at - 1)
      }
      sub(/,/, "", names)
    }
    END { flush() }'
}

help=$("$duet" help)
printf '%s\n' "$help" | rows | while read -r command summary; do
  case $command in
  help)
    echo "c${tab}help${tab}[COMMAND...]${tab}$summary"
    continue
    ;;
  esac
  usage=$("$duet" "$command" --help | sed -n "1s/^Usage: duet $command //p")
  echo "c${tab}$command${tab}$usage${tab}$summary"
  case $usage in
  COMMAND*)
    "$duet" "$command" --help | rows_below | while IFS=$tab read -r line text; do
      below=${line%% *}
      echo "c${tab}$command $below${tab}${line#* }${tab}$text"
      options "$command" "$below"
    done
    ;;
  *) options "$command" ;;
  esac
done
