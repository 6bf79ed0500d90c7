#!/bin/bash
# shellcheck disable=SC2154 # work, port and what functions set come from harness.sh and modules
# shellcheck source=harness.sh
. "$(dirname "$0")/harness.sh"
unset LDI_RUN

stub date 'echo "11-21-2026 09:05"'
# shellcheck disable=SC2034
Version=2.5
check_status start 0 start
check_equal "the banner" "jobs_test.sh ran on 11-21-2026 09:05"$'\n'"Version 2.5" "$(output)"
start >/dev/null
check_equal "start names the file" jobs_test.sh "$current_file_name"
unset Version
check_status "start without a version" 0 start
rm "$work/bin/date"

stub logger 'printf "%s\n" "$*" >>"'"$work"'/logged"'
stub ldi 'echo "$*" >>"'"$work"'/ldi"'
check_status "prep, synced" 0 prep
check_equal "prep calls ldi sync" sync "$(cat "$work/ldi")"
check_match "prep prints the banner" "jobs_test.sh ran on *" "$(output)"
check_equal "nothing is logged" no "$([ -e "$work/logged" ] && echo yes || echo no)"

(LDI_RUN=7 prep) >/dev/null
check_equal "prep within a tier does not sync again" sync "$(cat "$work/ldi")"

stub ldi 'echo "no route"; exit 69'
check_status "prep, not synced: goes on" 0 prep
check_match "and says why" "*status 69*no route*ran on*" "$(output)"
check_match "and logs it" "-t code_sync -- *no route*" "$(cat "$work/logged")"
prep_exit() { (
  prep exit
  echo "still here"
); }
check_status "prep exit, not synced: ends" 1 prep_exit
check_match "before the banner" "the library was not synced*no route" "$(output)"
stub ldi 'exit 0'
check_status "code_sync" 0 code_sync

# shellcheck disable=SC2034
logs=$work/logs
mkdir "$work/logs"
touch "$work/logs/jobs_test.sh" "$work/logs/other"
check_status finish 0 finish
check_equal "finish removes its own file only" other "$(ls "$work/logs")"
check_status "finish again" 0 finish

check_status "run_limited: its status" 3 run_limited 10 bash -c 'exit 3'
count() { echo "$#:$2"; }
check_equal "run_limited: a function, arguments exact" "3:b  c" "$(run_limited 10 count a "b  c" '')"
began=$SECONDS
check_status "run_limited: too long" 124 run_limited 1 sleep 30
check_status "run_limited: TERM ignored" 124 run_limited 1 bash -c 'trap "" TERM; while :; do sleep 0.2; done'
check_equal "it was stopped in time" yes "$([ $((SECONDS - began)) -lt 15 ] && echo yes || echo no)"
finish_tests
