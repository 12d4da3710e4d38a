#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs unit tests or fuzz targets, some at once, and shows only what failed.
# usage: run_each.sh WHAT JOBS DIR PROGRAM...    (DIR/ is cut off their names)
# A fuzz target is run for FUZZ_SECONDS on DIR/corpus/<name>, which keeps what
# it learns, after the seeds in t/fuzz/seeds/<name> if there are any.
set -u
what=$1 jobs=$2 dir=$3
shift 3

export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=print_stacktrace=1:${UBSAN_OPTIONS:-}

run_one() {
    local program=$1 name=${1##*/} limit=300 args=()
    if [[ $name == *_fuzz ]]; then
        local corpus=$DIR/corpus/$name
        mkdir -p "$corpus"
        args=(-max_total_time="$FUZZ_SECONDS" -timeout=10 -verbosity=0
              -rss_limit_mb=2048 -print_final_stats=1
              -artifact_prefix="$DIR/$name." "$corpus")
        [[ -d t/fuzz/seeds/$name ]] && args+=("t/fuzz/seeds/$name")
        limit=$((FUZZ_SECONDS + 120))
    fi
    timeout -k 5 "$limit" "$program" "${args[@]}" >"$program.log" 2>&1
    local rc=$?
    if ((rc)); then
        echo "--- ${program#"$DIR"/} failed (exit $rc)"
        cat "$program.log"
        return 1
    fi
}
export -f run_one
export DIR=$dir

if (($# == 0)); then
    echo "$what: none"
    exit 0
fi
printf '%s\0' "$@" | xargs -0 -P "$jobs" -I '{}' bash -c 'run_one "$1"' _ '{}'
rc=$?
failed=0
((rc == 0)) || failed=1
cases=$(for p in "$@"; do cat "$p.log"; done | grep -c '^\[       OK \]')
runs=$(for p in "$@"; do cat "$p.log"; done \
       | sed -n 's/^stat::number_of_executed_units: *//p' \
       | awk '{ n += $1 } END { print n + 0 }')
summary="$what: $# programs"
((cases)) && summary+=", $cases cases passed"
((runs)) && summary+=", $runs runs"
((failed)) && summary+=", SOME FAILED"
echo "$summary"
exit $failed
