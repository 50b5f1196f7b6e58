# shellcheck shell=sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What recipes made of Debian's packages share.
#
# debian_root OUTPUT OPTION...: mmdebstrap with these options writes a root file system tar. OUTPUT
# - is standard output.
#
# DEBIAN_SUITE   the suite; the host's if that is a Debian, else bookworm
# DEBIAN_MIRROR  a mirror's URI or a file of apt sources; by default the host's own sources if they
#                are of that suite, else mmdebstrap's default
# SOURCE_DATE_EPOCH  with the same mirror contents, the same value gives the same bytes
debian_root() {
  output=$1
  shift
  # shellcheck source=/dev/null
  host_suite=$(. /etc/os-release && [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-}") || host_suite=
  suite=${DEBIAN_SUITE:-${host_suite:-bookworm}}

  set -- "$@" "$suite" -
  if [ -n "${DEBIAN_MIRROR:-}" ]; then
    set -- "$@" "$DEBIAN_MIRROR"
  elif [ "$suite" = "$host_suite" ]; then
    for sources in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
      if [ -s "$sources" ]; then
        set -- "$@" "$sources"
        break
      fi
    done
  fi

  # Without an epoch every run differs by its times; the release's day is as good as any.
  export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-1686355200}"

  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  mmdebstrap --format=tar "$@" >"$work/root.tar"
  if [ "$output" = - ]; then
    cat "$work/root.tar"
  else
    cp "$work/root.tar" "$output"
  fi
}
