#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# completion.sh DUET: prints bash's completion for the commands and options of the binary.
set -eu
here=$(dirname "$0")
commands=$("$here/commands.sh" "$1")

cat <<'SCRIPT'
# bash completion for duet, made by docs/completion.sh from duet's own command table.

# _duet_row COMMAND: sets options (all), valued (those with a value) and operands of a command.
_duet_row() {
  case $1 in
SCRIPT
printf '%s\n' "$commands" | awk -F '\t' '
  function flush() {
    if (command != "")
      printf "  \"%s\")\n    options=\"%s\" valued=\" %s\" operands=\"%s\"\n    ;;\n", \
        command, options, valued, operands
    options = valued = ""
  }
  $1 == "c" {
    flush()
    command = $2
    operands = $3
    if (n = split(command, words, " ")) below[words[1]] = below[words[1]] (n > 1 ? " " words[2] : "")
    if (n == 1) top = top " " command
  }
  $1 == "o" {
    options = options (options == "" ? "" : " ") $3
    if ($4 != "") valued = valued $3 " "
  }
  END {
    flush()
    print "  *) options= valued= operands= ;;\n  esac\n}\n"
    print "_duet_below() {\n  case $1 in\n  \"\") echo \"" substr(top, 2) "\" ;;"
    for (name in below)
      if (below[name] != "") print "  " name ") echo \"" substr(below[name], 2) "\" ;;"
    print "  esac\n}"
  }'
cat <<'SCRIPT'

_duet_instances() { "${duet[@]}" ps -a 2>/dev/null | awk 'NR > 1 { print $NF }'; }
_duet_volumes() { "${duet[@]}" volume ls -q 2>/dev/null; }
_duet_images() { "${duet[@]}" image ls 2>/dev/null | awk 'NR > 1 { print $1 }'; }

# _duet_value OPTION: what may stand after it.
_duet_value() {
  case $1 in
  --as) echo vm container ;;
  --arms) echo vm container native ;;
  --accel) echo auto kvm tcg ;;
  --network) echo none ;;
  --machine) echo q35 pc ;;
  --firmware) echo bios uefi ;;
  --wait) echo agent none console: ;;
  --cpu-model) echo host max ;;
  --sort) echo created id image names status ;;
  --format)
    case $command in
    "image export") echo oci-archive docker-archive qcow2 raw ;;
    "bench show") echo table json csv md openmetrics benchstat phoronix ;;
    "bench compare" | "bench claims" | "bench reproduce") echo table json md ;;
    inspect) echo json ;;
    events) echo text json ;;
    *) echo table json ;;
    esac
    ;;
  --disk-format) echo raw qcow2 vmdk vdi ;;
  --cache) echo warm cold-guest cold-host ;;
  --ksm) echo on off ;;
  -s | --signal) echo HUP INT QUIT KILL USR1 USR2 TERM STOP CONT ;;
  --restart) echo no on-failure always unless-stopped ;;
  --log-driver) echo k8s-file json-file local none ;;
  --health-on-failure) echo none kill restart stop ;;
  --sig-proxy | --stream) echo true false ;;
  -v | --volume) _duet_volumes; return 1 ;; # or a path
  -o | --output | --label-file | --env-file | --xml-patch | --disk | --device | --qemu | --kernel | --root | --results | --peer) return 1 ;;
  esac
}

_duet() {
  local line=${COMP_LINE:0:COMP_POINT} duet=(duet) command='' options valued operands
  local words word current wanted='' options_end='' operand=0 i
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=${words[-1]}
  _duet_row ''
  for ((i = 1; i < ${#words[@]} - 1; i++)); do
    word=${words[i]}
    if [ -n "$wanted" ]; then
      [ "$wanted" = --root ] && duet+=(--root "$word")
      wanted=
    elif [[ $word == -- ]]; then
      options_end=1
    elif [[ $word == -* && -z $options_end && $operand == 0 ]]; then
      [[ $word == --root=* ]] && duet+=("$word")
      [[ " --root$valued " == *" $word "* ]] && wanted=$word
    elif [ -z "$command" ] || [[ $operands == COMMAND* && $command != *\ * ]]; then
      command=${command:+$command }$word
      _duet_row "$command"
    else
      ((operand++))
    fi
  done

  COMPREPLY=()
  local list prefix=''
  if [[ -z $wanted && $current == --*=* ]]; then
    wanted=${current%%=*} current=${current#*=}
  elif [[ $current == *:* ]]; then
    prefix=${current%:*}:
  fi
  if [ -n "$wanted" ]; then
    list=$(_duet_value "$wanted") || {
      COMPREPLY=($(compgen -W "$list" -- "$current") $(compgen -f -- "$current"))
      return
    }
  elif [[ $current == -* && -z $options_end && $operand == 0 ]]; then
    list=${command:+$options}
    list=${list:-"--root --version --help"}
  elif [[ -z $command || ($operands == COMMAND* && $command != *\ *) ]]; then
    list=$(_duet_below "$command")
  elif [ "$command" = help ]; then
    list=$(_duet_below '')
  else
    case $operands in
    *ARCHIVE* | *RESULT*) COMPREPLY=($(compgen -f -- "$current")); return ;;
    *INSTANCE:*)
      [[ $current == *:* ]] ||
        COMPREPLY=($(compgen -W "$(_duet_instances | sed 's/$/:/')" -- "$current") $(compgen -f -- "$current"))
      return
      ;;
    *INSTANCE...*) list=$(_duet_instances) ;;
    *INSTANCE*) ((operand)) || list=$(_duet_instances) ;;
    *VOLUME...*) list=$(_duet_volumes) ;;
    *IMAGE...*) list=$(_duet_images) ;;
    *IMAGE*) ((operand)) || list=$(_duet_images) ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$list" -- "$current"))
  # bash takes the part before a colon as a word of its own.
  COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
}
complete -o filenames -F _duet duet
SCRIPT
