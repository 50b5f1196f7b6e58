#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Seeing what runs: labels, ps and its filters, stats, top; for both kinds.

load lib

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }

# labels INSTANCE
labels() { duet inspect "$1" | jq -cS '.[0].labels'; }
# names OPTION...: of what ps lists, in its order.
names() { duet ps --noheading "$@" | awk '{ print $NF }' | xargs; }

@test "labels: of options, of files, of the image below them" {
  printf '# none\n\n  from-file\n file=1\nboth=file\n' >"$scratch/labels"
  printf 'second=2' >"$scratch/more"
  duet create --name labelled -l a=1 --label b --label a=2 --label 'c=x=y' --label both=option \
    --label-file "$scratch/labels" --label-file "$scratch/more" busybox true
  is "$(labels labelled)" '{"a":"2","b":"","both":"option","c":"x=y","file":"1","from-file":"","second":"2"}'
  is "$(duet ps -a --format json | jq -c '.[] | select(.name == "labelled") | .labels.c')" '"x=y"'
  duet create --name bare busybox true
  is "$(labels bare)" '{}'
  duet start labelled
  duet wait labelled
  is "$(labels labelled | jq -r .second)" 2
  duet rm labelled bare
  "$tests_dir/mkimage.py" "$scratch" config labels-broken
  duet image import --name config "$scratch/config.tar"
  duet create --name image-labelled -l tier=db -l mine config true
  is "$(labels image-labelled)" '{"mine":"","odd key":"a=b","tier":"db"}'
  duet rm image-labelled
  expect 125 duet image import "$scratch/labels-broken.tar"
  [[ $output == *"'Labels' is not an object of strings"* ]]
}

@test "labels that are none" {
  expect 125 duet create --name bad -l =x busybox true
  [[ $output == *"'=x' is no label"* ]]
  expect 125 duet create --name bad --label-file "$scratch/nosuch" busybox true
  [[ $output == *"--label-file"*"nosuch"* ]]
  printf 'a\0b\n' >"$scratch/binary"
  expect 125 duet create --name bad --label-file "$scratch/binary" busybox true
  printf 'good=1\n=x\n' >"$scratch/binary"
  expect 125 duet create --name bad --label-file "$scratch/binary" busybox true
  [[ $output == *"--label-file $scratch/binary: '=x' is no label"* ]]
  head -c 300000 /dev/zero | tr '\0' x >"$scratch/binary"
  expect 125 duet create --name bad --label-file "$scratch/binary" busybox true
  none_listed
}

@test "a store of before there were labels" {
  # its records have another form: they are made anew
  local record=$DUET_ROOT/images/records/$(duet image inspect busybox | jq -r '.[0].digest | sub("sha256:"; "")')
  [ -s "$record" ]
  head -c 200 "$record" >"$scratch/record"
  cp "$scratch/record" "$record"
  duet run --rm busybox true
}

@test "ps: filters, order, and what of it is shown" {
  duet create --name one -l tier=web -l x -v "$scratch:/data" busybox sh -c 'exit 3'
  duet run -d --name two -l tier=web busybox sleep 1000
  duet create --name three --vm -l tier=db busybox true
  duet run --name four busybox sh -c 'exit 3' || true
  is "$(names)" two
  is "$(names -a)" "one two three four"
  is "$(names -a -f label=tier)" "one two three"
  is "$(names -f label=tier)" two
  is "$(names -a -f label=tier=web -f label=x)" one
  is "$(names -a -f 'label!=tier')" four
  is "$(names -a -f 'name=^t')" "two three"
  is "$(names -a -f name=one -f name=our)" "one four"
  is "$(names -a -f name=o -f kind=vm)" ""
  is "$(names -a --filter kind=vm)" three
  is "$(names -f status=created)" "one three"
  is "$(names -f status=exited)" four
  is "$(names -f exited=3)" four
  is "$(names -f exited=0)" ""
  is "$(names -a -f before=two)" one
  is "$(names -a -f since=two)" "three four"
  is "$(names -a -f since="$(field one id)" -f before=four)" "two three"
  is "$(names -a -f volume=/data)" one
  is "$(names -a -f volume="$scratch")" one
  is "$(names -a -f ancestor=busybox -f kind=container)" "one two four"
  is "$(names -a -f "ancestor=$(duet image inspect busybox | jq -r '.[0].config_digest')" -f kind=vm)" three
  is "$(names -a -f ancestor=nosuch)" ""
  is "$(duet ps -aq -f "id=$(field three id)")" "$(field three id)"
  is "$(names -n 2)" "three four"
  is "$(names -l)" four
  is "$(names --last 0)" ""
  is "$(names -n 3 --sort names)" "four three two"
  is "$(names -a --sort names)" "four one three two"
  is "$(names -a --sort status)" "one three four two"
  is "$(names -a --sort created)" "one two three four"
  is "$(duet ps -a --sort id -q | sort -c && echo sorted)" sorted
  is "$(duet ps --noheading | wc -l)" 1
  is "$(duet ps | wc -l)" 2
  duet create --name long busybox echo 0123456789 0123456789 end
  [[ $(duet ps -l) == *"echo 0123456789 01234..."* ]]
  [[ $(duet ps -l --no-trunc) == *"echo 0123456789 0123456789 end"* ]]
  duet ps -a --format json -f kind=vm | jq -e 'length == 1 and .[0].name == "three"'
}

@test "ps refuses what it does not know" {
  local bad
  for bad in nosuch=1 name 'name=(' status=lost exited=x kind=pod name= before=nosuch; do
    expect 125 duet ps -f "$bad"
    is "$(wc -l <<<"$output")" 1
    [[ $output == *"--filter '$bad'"* ]]
  done
  [[ $output == *"no such instance: 'nosuch'"* ]]
  expect 125 duet ps -f nosuch=1
  [[ $output == *"one of the keys id, name, label,"* ]]
  expect 125 duet ps -l -n 2
  expect 125 duet ps --sort size
  [[ $output == *"use created, id, image, names or status"* ]]
}

@test "verbs take filters" {
  is "$(duet stop -t 0 --filter label=tier)" two
  is "$(duet stop --filter label=tier)" ""
  is "$(duet start -f name=two)" two
  is "$(duet pause -f label=tier)" two
  is "$(duet unpause -f status=paused)" two
  is "$(duet restart -t 0 -f name=two)" two
  expect 125 duet stop -f name=two two
  [[ $output == *"contradict each other"* ]]
  expect 125 duet rm --filter name=two
  [[ $output == *"is running"* ]]
  is "$(duet rm -f --filter kind=container | sort | xargs)" "four long one two"
  is "$(names -a)" three
  duet rm three
  none_listed
}
