#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# `duet report` and `duet bench import`: pages of result files.

load lib
load look

setup_file() {
  root_up
  stock_image busybox
  duet bench boot --arms container,native -n 12 --seed 1 -o "$scratch/boot.json" busybox >/dev/null 2>&1
  duet bench boot --arms container,native -n 12 --seed 2 -o "$scratch/later.json" busybox >/dev/null 2>&1
  duet bench memory --arms container,native --counts 1,2 --rounds 3 --age 0.1 --seed 4 -o "$scratch/memory.json" \
    busybox >/dev/null 2>&1
  duet bench density --arms container,native --max 3 --age 0.1 -o "$scratch/density.json" busybox >/dev/null 2>&1
  # Whatever this host is: nothing is shown of one whose CPUs are emulated.
  for run in boot later memory density; do as_on_hardware "$scratch/$run.json"; done
}
teardown_file() { root_down; }

# Debian's, which has Debian's modules, whatever comes first in PATH.
python() { /usr/bin/python3 "$@"; }
numbers() { python "$tests_dir/integration/report-numbers.py" "$@"; }
page() { duet report -o "$scratch/page.html" "$@"; }
# edit FILTER: the boot result with something else in it, in $scratch/edited.json.
edit() { jq "$1" "$scratch/boot.json" >"$scratch/edited.json"; }
# fails_with CODE TEXT COMMAND...: one line of error, which has TEXT in it.
fails_with() {
  local code=$1 text=$2
  shift 2
  run --separate-stderr duet "$@"
  [ "$status" = "$code" ] || { echo "exit code $status: $stderr"; return 1; }
  [ "$(wc -l <<<"$stderr")" = 1 ] || { echo "more than a line: $stderr"; return 1; }
  [[ $stderr == *"$text"* ]] || { echo "$stderr"; return 1; }
}

@test "the numbers in a page are those of the samples" {
  for run in boot memory; do
    page "$scratch/$run.json"
    numbers "$scratch/page.html" "$scratch/$run.json"
  done
  # and the test would tell
  edit '(.samples[] | select(.arm == "container") | .marks_ns.output) *= 1.5'
  run numbers "$scratch/page.html" "$scratch/edited.json"
  [ "$status" != 0 ]
}

@test "a page is one file: no script, no request, its raw data in it" {
  page "$scratch/boot.json" "$scratch/memory.json" "$scratch/density.json"
  [ "$(ls "$scratch"/page*)" = "$scratch/page.html" ]
  run grep -oiE '<script|<link|<iframe|<img|@import|https?://[^"'"'"' <]*' "$scratch/page.html"
  # names of XML's own
  [ "$(grep -vc 'http://www.w3.org/' <<<"$output")" = 0 ] || { echo "$output"; return 1; }
  python - "$scratch" <<'PYTHON'
import base64, re, sys
scratch = sys.argv[1]
page = open(f"{scratch}/page.html", encoding="utf-8").read()
for name in "boot", "memory", "density":
    data = re.search(rf'download="{name}.json" href="data:application/json;base64,([^"]*)"', page)[1]
    assert base64.b64decode(data) == open(f"{scratch}/{name}.json", "rb").read(), name
for name, least in ("boot", 24), ("memory", 12), ("density", 6):
    csv = re.search(rf'download="{name}.json.csv" href="data:text/csv;base64,([^"]*)"', page)[1]
    assert base64.b64decode(csv).count(b"\n") > least, name
assert page.count("<svg") == 2 * page.count("<figure"), "a figure has no picture"
PYTHON
}

@test "names of anybody are shown as text" {
  edit '.arms[0].name = "<script>alert(1)</script>" | .arms[0].image.ref = "\"><img src=x onerror=alert(1)>" |
    .arms[1].name = "'"'"'; set output \"pwned\"; `touch pwned`; system(\"touch pwned\") #" |
    .arms as $a | .plan.arms = [$a[].name] | .samples |= map(.arm = (if .arm == "container" then $a[0].name else $a[1].name end)) |
    .plan.order |= map(map(if . == "container" then $a[0].name else $a[1].name end)) |
    .host.os = "Ħ 😀 \u0007\u001b[31m</style><script>1</script>"'
  cd "$scratch"
  duet report -o page.html --keep edited.json
  for format in md tex text; do duet report --format $format edited.json >out."$format"; done
  duet report --format png -o pictures edited.json
  [ -z "$(find . -name 'pwned*')" ]
  run grep -c '<script\|<img' page.html
  [ "$output" = 0 ]
  grep -q '&lt;script&gt;alert(1)&lt;/script&gt;' page.html
  run grep -c $'\e' page.html out.md out.tex out.text
  [[ $output != *:[1-9]* ]]
  # TeX runs nothing of it, either, and ends without an error
  pdflatex -interaction=nonstopmode -halt-on-error -no-shell-escape -output-directory "$scratch" out.tex >tex.log ||
    { tail -30 tex.log; return 1; }
  pdftotext out.pdf - | grep -q 'alert(1)'
  # well-formed, as anybody's text is escaped
  sed 's/^<!DOCTYPE html>//' page.html | python -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.stdin)'
}

@test "each format" {
  cd "$scratch"
  duet report boot.json >text
  [ "$(wc -L <text)" -le 80 ] || { cat text; return 1; }
  grep -q '####' text
  duet report --format md boot.json | grep -q '^# '
  duet report -o page.md boot.json
  [ "$(grep -c '!\[' page.md)" -ge 3 ]
  grep -o '(page-figures/[^)]*)' page.md | tr -d '()' | while read -r file; do [ -s "$file" ]; done
  duet report -o page.tex boot.json memory.json density.json
  grep -q toprule page.tex
  pdflatex -interaction=nonstopmode -halt-on-error page.tex >tex.log || { tail -30 tex.log; return 1; }
  # letters that can be drawn at any size, and each in it
  pdffonts page.pdf | awk 'NR > 2 && ($(NF - 4) != "yes" || /Type 3/) { bad = 1 } END { exit bad || NR < 3 }'
  grep -o 'detokenize{[^}]*' page.tex | cut -d'{' -f2 | while read -r file; do
    # vector, and each font in it
    [ -s "$file" ]
    pdffonts "$file" | awk 'NR > 2 && $(NF - 4) != "yes" { bad = 1 } END { exit bad || NR < 3 }'
    [ "$(pdfimages -list "$file" | tail -n +3 | wc -l)" = 0 ]
  done
  # a command can be copied
  edit '.arms[].command = ["echo", "a `b` c"]'
  duet report -o typed.tex edited.json
  pdflatex -interaction=nonstopmode -halt-on-error typed.tex >tex.log || { tail -30 tex.log; return 1; }
  pdftotext typed.pdf - | grep -F -- "-- echo 'a \`b\` c'"
  for format in svg pdf png; do
    duet report --format $format -o "pictures-$format" boot.json
    [ "$(find "pictures-$format" -name "*.$format" -size +1k | wc -l)" -ge 3 ]
    [ "$(find "pictures-$format" ! -name "*.$format" -type f | wc -l)" = 0 ]
  done
}

# again RESULT: measures by the command that its page names, and compares what was measured.
again() {
  local command
  command=$(duet report "$1" | sed -n '/^The same again:/,/^$/{/again:/d;s/ \\$//;p}' | tr '\n' ' ' |
    sed 's/ *duet bench [a-z]*/& -o again.json/')
  rm -f again.json
  eval "$command" || { echo "$command"; return 1; }
  for result in "$1" again.json; do
    jq -S '{plan, arms: [.arms[] | {name, kind, command, limits}]}' "$result" >"$result.same"
  done
  diff "$1.same" again.json.same
}

@test "the command in a page measures the same again" {
  cd "$scratch"
  mkdir -p "a folder"
  duet bench boot --arms container,native -n 10 --memory 64m -e A=1 -e 'B=x y' -w /tmp -u 0 -v "./a folder:/mnt:ro" \
    -o first.json busybox -- sh -c 'echo "$A $B"'
  valid_result first.json
  again first.json
  printf '[peer]\nkind=container\nrun=chroot {rootfs} {argv...}\n' >"a folder/plain.peer"
  duet bench boot --arms container -n 10 --peer "a folder/plain.peer" -o peer.json busybox
  again peer.json
  # the image's entrypoint, or the user's, is not put before all of it, and an idle payload stays one
  duet bench boot --arms native -n 10 --entrypoint echo -o entry.json busybox -- hello
  again entry.json
  umoci config --image "$DUET_ROOT/images:busybox:latest" --tag with-entry --config.entrypoint echo \
    --config.entrypoint 'of the image' --config.cmd hi
  duet bench boot --arms native -n 10 -o image.json with-entry -- hello
  jq -e '[.arms[].command] == [["echo", "of the image", "hello"]]' image.json
  again image.json
  duet bench memory --arms native --counts 1 --rounds 1 --age 0.1 -o idle.json with-entry
  again idle.json
  # nothing but options is taken from a file into a command
  edit '.plan.options = ["busybox; reboot", "x"]'
  fails_with 125 "'options' are not options" report edited.json
}

@test "scripts and data are kept for who asks, and draw the same again" {
  cd "$scratch"
  duet report -o kept.html --keep boot.json
  cd kept-figures
  before=$(sha256sum boot-ecdf.svg)
  rm boot-ecdf.svg
  gnuplot -e "medium = 'page'" boot-ecdf.gnuplot
  [ "$(sha256sum boot-ecdf.svg)" = "$before" ]
  gnuplot -e "medium = 'pdf'" boot-ecdf.gnuplot
  [ -s boot-ecdf.pdf ]
  # what somebody changed is set aside, not lost
  echo '# mine' >>style.gnuplot
  duet report -o ../kept.html --keep ../boot.json
  grep -q '^# mine' style.gnuplot.~1~
  run ! grep -q '^# mine' style.gnuplot
  [ ! -e ecdf.gnuplot.~1~ ]
}

@test "two results of one benchmark show what changed" {
  page "$scratch/boot.json" "$scratch/later.json"
  grep -q 'What changed from the first result to the second' "$scratch/page.html"
  duet report --format md "$scratch/boot.json" "$scratch/later.json" >"$scratch/out"
  # the same figures as the command that compares
  ratio=$(duet bench compare --format md "$scratch/boot.json" "$scratch/later.json" |
    awk -F'|' '$2 ~ /^ container/ { print $5; exit }')
  [ -n "$ratio" ]
  grep -q "^| container |.*|$ratio|" "$scratch/out" || { echo "$ratio"; cat "$scratch/out"; return 1; }
}

@test "an arm has one colour on a page, whatever is beside it" {
  cd "$scratch"
  jq '(.. | strings | select(. == "container")) |= "podman" | .arms[0].kind = "container"' boot.json >podman.json
  duet report --keep -o colours.html podman.json boot.json
  # name COLOUR of both results
  for chart in boot boot-2; do
    python - colours-figures/$chart-ecdf.gnuplot <<'PYTHON'
import re, sys
text = open(sys.argv[1]).read()
both = (re.findall(r"'([^']*)'", re.search(rf"^array {name}\[.*", text, re.M)[0]) for name in ("arm", "color"))
for pair in zip(*both): print(*pair)
PYTHON
  done | sort -u >colours
  diff colours - <<'COLOURS'
container #D55E00
native #009E73
podman #CC79A7
COLOURS
}

@test "three results of one benchmark show what became of the first, and where hosts differ" {
  jq '(.samples[] | select(.arm == "container" and (.discarded | not)) | .marks_ns.output) |= . * 2 |
    .host.kernel.release = "9.9.9-other"' "$scratch/boot.json" >"$scratch/twice.json"
  duet report --format md "$scratch/boot.json" "$scratch/later.json" "$scratch/twice.json" >"$scratch/out"
  grep -q '^## Start and end: over all results' "$scratch/out"
  # the medians of the container, of which the last is twice the first
  awk -F'|' '/^\| result \|/ { for (i = 1; i <= NF; i++) if ($i ~ /^ container/) column = i }
    column && $2 ~ /^ [123] $/ { split($column, value, " "); median[++n] = value[1] * (value[2] == "s" ? 1000 : 1) }
    END { exit !(n == 3 && median[3] / median[1] > 1.98 && median[3] / median[1] < 2.02) }' "$scratch/out"
  grep -F "| kernel | $(uname -r) | $(uname -r) | 9.9.9-other |" "$scratch/out"
  page "$scratch/boot.json" "$scratch/later.json" "$scratch/twice.json"
  grep -q 'What became of the first result' "$scratch/page.html"
}

@test "what is emulated is said loudly, and not shown where all is" {
  edit '.arms[0].kind = "vm" | .arms[0].driver.accel = "tcg"'
  duet report "$scratch/edited.json" | grep -q '^\*\*\* No hardware virtualization'
  edit '.host.cpu.hypervisor = "tcg"'
  duet report "$scratch/edited.json" >"$scratch/out"
  grep -q 'Nested under TCG' "$scratch/out"
  run grep -c 'median' "$scratch/out"
  [ "$output" = 0 ] || { cat "$scratch/out"; return 1; }
}

@test "files that are no results give one clear error and leave nothing" {
  cd "$scratch"
  head -c 2000 boot.json >cut.json
  : >empty.json
  echo '{"schema_version": 99}' >other.json
  echo '[1, 2' >foreign.json
  for file in cut empty foreign; do fails_with 125 "'$file.json'" report -o no.html "$file.json"; done
  fails_with 125 'schema 99' report -o no.html other.json
  fails_with 125 "'missing.json'" report -o no.html missing.json
  fails_with 125 "no format" report --format docx boot.json
  fails_with 125 "no reports in 'xx'" report --lang xx boot.json
  fails_with 125 'name a directory' report --format png boot.json
  fails_with 125 "'/proc/no/page.html" report -o /proc/no/page.html boot.json
  for link in link.html link.json; do ln -s boot.json $link; done
  for place in /dev/null link.html; do fails_with 125 'is no regular file' report --format html -o $place boot.json; done
  for command in 'bench boot --arms native -n 10' 'bench density --arms container --max 1' compare; do
    # shellcheck disable=SC2086 # words
    fails_with 125 'is no regular file' $command -o link.json busybox
  done
  [ "$(readlink link.json)" = boot.json ]
  [ -c /dev/null ]
  [ ! -e no.html ]
  [ -z "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'duet-report-*')" ]
}

@test "without gnuplot a page has its tables, and pictures are refused" {
  run --separate-stderr env PATH=/nonexistent "$DUET" report --format html "$scratch/boot.json"
  [ "$status" = 0 ]
  [[ $stderr == *'install gnuplot-nox'* ]]
  [[ $output == *'<table'* ]]
  run --separate-stderr env PATH=/nonexistent "$DUET" report --format png -o "$scratch/none" "$scratch/boot.json"
  [ "$status" != 0 ]
  [[ $stderr == *'install gnuplot-nox'* ]]
  [ ! -e "$scratch/none" ]
}

@test "in Korean" {
  duet report --lang ko -o "$scratch/page.html" "$scratch/boot.json"
  grep -q '<html lang="ko"' "$scratch/page.html"
  # as many letters of Hangul as a page of it has
  [ "$(python -c 'import sys; print(sum("\uac00" <= c <= "\ud7a3" for c in open(sys.argv[1], encoding="utf-8").read()))' \
    "$scratch/page.html")" -gt 500 ]
  # the plan, and what is to be known of the figures
  grep -q '실행 방식당 표본 12개' "$scratch/page.html"
  duet report --lang ko "$scratch/density.json" | grep -q '사용자가 정한 조건으로 끝났으므로'
  duet bench claims --lang ko --results "$scratch/boot.json" --only start,panic-container >"$scratch/out"
  grep -q '컨테이너는 VM보다 빨리 시작됩니다' "$scratch/out"
  grep -q '이 시험도 끝납니다' "$scratch/out"
  # what the file has in English words
  edit '.host.load_1min = 9 | .host.cpu.online = 2 | .warnings = ["the host was busy before the run: load 9.00 on 2 CPUs"]'
  duet report --lang ko "$scratch/edited.json" | grep -q '바빴습니다: CPU 2개에 부하 9.00'
  # in a paper
  cd "$scratch"
  duet report --lang ko -o korean.tex edited.json
  pdflatex -interaction=nonstopmode -halt-on-error korean.tex >tex.log || { tail -30 tex.log; return 1; }
  pdftotext korean.pdf - | grep -q '시작과 종료'
  pdftotext korean-figures/boot-ecdf.pdf - | grep -q '표본의 누적 비율'
  # what programs read has no language
  duet bench claims --lang ko --format json --results "$scratch/boot.json" --only start |
    jq -e '.claims[0].verdict == "not run" and .claims[0].because == "the result has no arm of kind vm"'
  # each file that has words is known to translators
  diff <(cd "$source_dir" && grep -rlE '#include "(bench/)?words.h"|duet_(notes_add|finding_set)\(' bench --include='*.c' | grep -v '^bench/peers/' | LC_ALL=C sort) \
    <(grep -v '^#' "$source_dir/po/POTFILES")
  # each sentence has a translation that takes the same figures
  xgettext -k_ -kN_ -kduet_notes_add:4 -kduet_finding_set:3 --from-code=UTF-8 -D "$source_dir" -f "$source_dir/po/POTFILES" \
    -o "$scratch/now.pot"
  msgmerge -q --no-fuzzy-matching -o "$scratch/ko.po" "$source_dir/po/ko.po" "$scratch/now.pot"
  msgfmt -c -o /dev/null "$scratch/ko.po"
  [ -z "$(msgattrib --only-fuzzy "$scratch/ko.po")" ]
  [ -z "$(msgattrib --untranslated "$scratch/ko.po")" ] || { msgattrib --untranslated "$scratch/ko.po"; return 1; }
}

@test "times of others are imported" {
  cd "$scratch"
  python -c 'import random; random.seed(7)
for name, middle in ("a", 243), ("b", 214):
    with open(f"{name}.dat", "w") as f:
        print("# microseconds", file=f)
        for _ in range(50): print(round(random.gauss(middle, 5) * 1000), 7, file=f)'
  duet bench import --unit us a=a.dat b=b.dat -o imported.json
  valid_result imported.json
  # nothing that is not known
  [[ $(duet bench show imported.json) == "plan     up to 50 samples per arm, imported"* ]]
  page "$scratch/imported.json"
  numbers "$scratch/page.html" imported.json
  duet bench import --unit us --column 2 sevens=a.dat -o sevens.json
  jq -e '[.samples[].marks_ns.output] | unique == [7000]' sevens.json
  hyperfine -N -r 3 --export-json fine.json true 'true x' >/dev/null
  duet bench import fine.json -o hyperfine.json
  jq -e --slurpfile fine fine.json '[.arms[].name] == ["true", "true x"] and
    ([.samples[] | select(.arm == "true").marks_ns.output] ==
     [$fine[0].results[0].times[] | . * 1e9 | round])' hyperfine.json
  # what failed took no time that would mean something
  hyperfine -N -i -r 3 --export-json failed.json false >/dev/null
  fails_with 125 'failed' bench import failed.json -o no.json
  printf '1,,3\n4,5,6\n' >sparse.csv
  fails_with 125 'line 1 has no number in column 2' bench import --column 2 x=sparse.csv -o no.json
  printf '1\nfast\n' >bad.dat
  fails_with 125 'line 2 has no number in column 1: fast' bench import x=bad.dat -o no.json
  printf '1\n2\n0x10\n' >hex.dat
  fails_with 125 "'hex.dat': line 3 has no number in column 1: 0x10" bench import x=hex.dat -o no.json
  printf '1\n2\0\n3\n' >nul.dat
  fails_with 125 "'nul.dat': line 2 has a NUL byte" bench import x=nul.dat -o no.json
  printf '1\n-1.5e+00\n' >negative.dat
  fails_with 125 'is none' bench import x=negative.dat -o no.json
  fails_with 125 'no unit of time' bench import --unit h x=a.dat -o no.json
  fails_with 125 "give its arm a name" bench import a.dat -o no.json
  fails_with 125 "already" bench import x=a.dat x=b.dat -o no.json
  fails_with 125 "is none" bench import --unit s x=a.dat -o no.json
  [ ! -e no.json ]
}

@test "no name breaks a picture" {
  cd "$scratch"
  seq 1 0.01 1.2 >times.dat
  duet bench import ']]>=times.dat' "<b>& ]]>'\`\"=times.dat" -o names.json
  duet report -o names.html names.json
  mkdir -p names
  duet report --format svg -o names names.json
  python -c 'import sys, xml.dom.minidom
for path in sys.argv[1:]: xml.dom.minidom.parse(path)' names/*.svg
}

@test "a file of 100,000 samples" {
  cd "$scratch"
  python -c 'import random; random.seed(9)
for arm in range(7):
    with open(f"{arm}.dat", "w") as f:
        for _ in range(14286): print(random.lognormvariate(0, 0.1) * (5 + arm), file=f)'
  duet bench import vm=0.dat container=1.dat native=2.dat a=3.dat b=4.dat c=5.dat d=6.dat -o large.json
  # as if taken in blocks, which is what duet does
  sed -i 's/"mode" : "imported"/"mode" : "warm"/' large.json
  [ "$(jq '.samples | length' large.json)" -ge 100000 ]
  local before=$EPOCHREALTIME
  duet report -o large.html large.json
  # 5 s where nothing runs beside it
  awk -v a="$before" -v b="$EPOCHREALTIME" 'BEGIN { print b - a, "s"; exit b - a > 20 }'
  numbers large.html large.json
}
