#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What `meson install` puts in place works by itself, and `ninja uninstall` takes it all away. One
# build of its own serves all cases, as it takes long: they stand in one order and share it.

# shellcheck disable=SC2154 # scratch, source_dir and tests_dir are lib's
load lib

setup_file() {
  root_up
  export build=$scratch/build prefix=$scratch/prefix
  if ! { meson setup "$build" "$source_dir" --prefix "$prefix" -Dtests=false &&
    ninja -j2 -C "$build" install; } >"$scratch/log" 2>&1; then
    tail -40 "$scratch/log"
    return 1
  fi
  # Nothing may be taken from the build from here on.
  mv "$build" "$scratch/away"
  export DUET=$prefix/bin/duet
  stock_image busybox
}
teardown_file() { root_down; }

@test "install: the verbs that need modules find them" {
  local modules
  modules=$(dirname "$(find "$prefix" -name duet-images.so)")
  for module in duet-images duet-tools duet-vm; do [ -e "$modules/$module.so" ]; done
  duet image ls --format json | jq -e '.[0].name == "busybox:latest"'
  is "$(duet --version)" "duet $(meson introspect --projectinfo "$source_dir/meson.build" | jq -r .version)"
}

@test "install: a container and a VM run" {
  is "$(duet run --rm busybox echo hello)" hello
  is "$(duet run --rm --vm busybox echo hello 2>/dev/null)" hello
}

@test "install: the man page tells every command of the table" {
  local page=$prefix/share/man/man1/duet.1 verb
  for verb in $(verbs); do
    grep -qE "^\.SS \"${verb}[ \"]" "$page" || { echo "not in it: $verb"; return 1; }
  done
  grep -q 'accel.*ACCEL' "$page"
  run -1 grep '@[A-Z]*@' "$page"
  [ -e "$prefix/share/doc/duet/files.md" ]
  [ -e "$prefix/share/doc/duet/result-1.schema.json" ]
}

@test "install: bash completes commands, options, values, instances and images" {
  is "$(complete_line 'duet ')" "$(verbs)"
  is "$(complete_line 'duet image ex')" export
  is "$(complete_line 'duet run --accel ')" $'auto\nkvm\ntcg'
  [[ $(complete_line 'duet bench boot --') == *--samples* ]]
  is "$(complete_line 'duet bench show --format o')" openmetrics
  is "$(cd "$source_dir" && complete_line 'duet bench check docs/result-f')" docs/result-file.md
  is "$(complete_line 'duet run --rm -m 64m busy')" busybox:latest
  is "$(complete_line 'duet run busybox:la')" latest
  duet create --name completed busybox true
  is "$(complete_line "duet --root $DUET_ROOT inspect comp")" completed
  is "$(complete_line 'duet exec completed ')" ""
  duet rm completed
}

@test "install: uninstall leaves no file" {
  mv "$scratch/away" "$build"
  [ -n "$(find "$prefix" -type f)" ]
  ninja -C "$build" uninstall >/dev/null
  is "$(find "$prefix" ! -type d)" ""
}

# The verbs, in the order of the table; the man page has those of `image` and `bench` under two words.
verbs() { duet help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'; }

# complete_line LINE: what bash offers at its end.
complete_line() {
  PATH=$prefix/bin:$PATH bash -c '. "$1"; COMP_LINE=$2 COMP_POINT=${#2}; _duet
    [ ${#COMPREPLY[@]} = 0 ] || printf "%s\n" "${COMPREPLY[@]}"' \
    bash "$prefix/share/bash-completion/completions/duet" "$1"
}
