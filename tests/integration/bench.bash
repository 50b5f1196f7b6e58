# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What tests of one benchmark share. $benchmark is its arguments that all have, $result the file that it writes.

# shellcheck disable=SC2154 # theirs, and lib.bash's

# begin ARGUMENT...: the benchmark in the background, in a session of its own; its process is $bench.
begin() {
  setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench "${benchmark[@]}" -o "$result" "$@" >"$scratch/out" 2>&1 3>&- &
  # shellcheck disable=SC2034
  bench=$!
}
# running N: so many instances do.
running() {
  local out
  out=$(duet ps -q) && [ "$(grep -c . <<<"$out")" = "$1" ]
}
# What a case that failed in the middle leaves.
end_bench() { [ -z "${bench:-}" ] || kill -KILL -- "-$bench" 2>/dev/null || true; }
teardown() { end_bench; }
# holds FILTER: of the result; else that is shown.
holds() { jq -e "$1" "$result" >/dev/null || { jq 'del(.samples)' "$result"; return 1; }; }
