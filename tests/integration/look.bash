# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # what uses shots; tests_dir and source_dir are lib.bash's
# SPDX-License-Identifier: LGPL-2.1-or-later
# Pages of `duet report`, as browsers show them.

shots=$source_dir/build/test-logs

# look ARGUMENT...: looks at a page (tests/browser/look.mjs); shows what of it does not hold, and fails then.
look() {
  local tap code=0
  tap=$(node "$tests_dir/browser/look.mjs" "$@" 2>&1) || code=$?
  if [ $code = 0 ] && grep -q '^1\.\.[1-9]' <<<"$tap"; then return 0; fi
  # Cases and their comments, and what is no TAP.
  awk '/^ok /{ bad = 0; next } /^not ok /{ bad = 1 } bad || !/^(#|1\.\.)/' <<<"$tap"
  return 1
}

# as_on_hardware FILE: figures of a host whose own CPUs are emulated are shown by no page.
as_on_hardware() {
  jq '.host.cpu.hypervisor = null' "$1" >"$1.edited"
  mv "$1.edited" "$1"
}
