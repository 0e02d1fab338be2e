#!/usr/bin/env bash
# The same commands through engine and journal as built by two compilers at two levels and under
# AddressSanitizer: the same states, the same events, live and replayed, at every 1,000th command.
#
#   tests/orderflow/builds.sh
#
# Ends with "N passed, N failed, 0 skipped".
set -u
cd "$(dirname "$0")/../.." || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sources=(tests/orderflow/builds.c src/domain/trading/engine/*.c
    src/domain/trading/journal/journal{,_block,_files,_folder,_io,_replay,_scan,_snapshot}.c
    src/kernel/base/{check,clock,err,hex,mem,slice}.c src/kernel/crypto/{hash,sha}.c)
builds=("gcc -O0" "gcc -O3" "clang-14 -O0" "clang-14 -O3"
    "gcc -O1 -fsanitize=address,undefined -fno-sanitize-recover=all")

build() { # number: compiled apart, and run
    local folder=$work/$1
    mkdir "$folder" || return 1
    # shellcheck disable=SC2086 # compiler and options are words
    ${builds[$1]} -std=c17 -w -Isrc -Itests -D_GNU_SOURCE -include kernel/base/banned.h \
        -o "$folder/builds" "${sources[@]}" -lcrypto -lcmocka -lpthread &&
        "$folder/builds" "$folder" >"$work/$1.out"
}
for ((i = 0; i < ${#builds[@]}; i++)); do
    build "$i" 2>"$work/$i.err" &
    [ $((i % 2)) = 1 ] && wait
done
wait

passed=0 failed=0
for ((i = 0; i < ${#builds[@]}; i++)); do
    if [ "$(wc -l <"$work/$i.out" 2>/dev/null)" = 80 ] && cmp -s "$work/0.out" "$work/$i.out"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED ${builds[$i]}"
        head -n 5 "$work/$i.err"
        diff "$work/0.out" "$work/$i.out" | head -n 4
    fi
done
echo "builds: $passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
