#!/usr/bin/env bash
# Compares the engine with the references, byte for byte.
#
#   tests/orderflow/run.sh [--long] FREEHOLD
#
# The flows of manifest.txt of at most 100,000 operations (--long: all of them), and SEEDS (20)
# fresh flows that ofref judges now: their seeds come from the clock and are printed on a
# difference. Events hold every trade, so that equal events mean an equal tape; both are compared.
# Ends with "N passed, N failed, 0 skipped".
set -u
long=0
[ "${1:-}" = --long ] && long=1 && shift
[ $# -eq 1 ] || { sed -n '2,9p' "$0"; exit 2; }
freehold=$(realpath "$1")
cd "$(dirname "$0")" || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for program in ofgen ofref; do
    ${CC:-gcc} -O2 -w -o "$work/$program" $program.c || exit 2
done

passed=0 failed=0
note() { # ok|FAILED what
    if [ "$1" = ok ]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAILED $2"
    fi
}
sha() { sha256sum "$1" | cut -d' ' -f1; }
run() { "$freehold" engine run "$work/flow" "$work/tape" "$work/events" >/dev/null; }

while IFS='|' read -r name ops _ args flow tape events _; do
    case $name in '' | \#*) continue ;; esac
    [ $long = 0 ] && [ "$ops" -gt 100000 ] && continue
    # shellcheck disable=SC2086 # the arguments are words
    "$work/ofgen" $args >"$work/flow" 2>/dev/null
    [ "$(sha "$work/flow")" = "$flow" ] || { note FAILED "$name: the generated flow"; continue; }
    if run && [ "$(sha "$work/tape")" = "$tape" ] && [ "$(sha "$work/events")" = "$events" ]; then
        note ok "$name"
    else
        note FAILED "$name"
    fi
done <manifest.txt

first=$(date +%s)
shapes=("-y 1 -l 200 -w 8 -k 8" "-y 3 -l 60 -w 4 -k 15 -t 3" "-y 8 -l 20 -w 4 -k 20 -t 4"
    "-y 2 -l 400 -m 30,20,40")
for ((i = 0; i < ${SEEDS:-20}; i++)); do
    arguments="-n 8000 -p full -s $((first + i)) ${shapes[i % ${#shapes[@]}]}"
    # shellcheck disable=SC2086
    "$work/ofgen" $arguments >"$work/flow" 2>/dev/null
    "$work/ofref" -t "$work/tape.ref" -e "$work/events.ref" "$work/flow" >/dev/null
    if run && cmp -s "$work/tape" "$work/tape.ref" && cmp -s "$work/events" "$work/events.ref"; then
        note ok "$arguments"
    else
        note FAILED "ofgen $arguments"
    fi
done
echo "orderflow: $passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
