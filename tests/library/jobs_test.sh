# shellcheck shell=bash disable=SC2016,SC2034,SC2154,SC2317 # stubs are literal text; the runner's words

setup() {
  # As a script that is started by hand.
  unset LDI_RUN
  stub logger
}

test_start() {
  clock 2026-11-21T09:05
  Version=2.5
  run start
  assert_status 0
  assert_output "jobs_test.sh ran on 11-21-2026 09:05"$'\n'"Version 2.5"
  start >/dev/null
  assert_equal jobs_test.sh "$current_file_name" "start names the file"
  unset Version
  run start
  assert_status 0 "start without a version"
}

test_prep_synced() {
  stub ldi
  run prep
  assert_status 0
  assert_equal "ldi sync" "$(calls ldi)"
  assert_output "jobs_test.sh ran on *"
  assert_equal "" "$(calls logger)" "nothing is logged"
}

test_prep_within_a_tier_does_not_sync_again() {
  stub ldi
  LDI_RUN=7
  run prep
  assert_status 0
  assert_equal "" "$(calls ldi)"
}

test_prep_not_synced_goes_on() {
  stub ldi 'echo "no route"; exit 69'
  run prep
  assert_status 0
  assert_match "*status 69*no route*" "$output" "it says why"
  assert_match "jobs_test.sh ran on*" "$stdout" "it goes on"
  assert_match "logger -t code_sync -- *no?\ route*" "$(calls logger)" "it logs why"
}

test_prep_exit_not_synced_ends() {
  stub ldi 'echo "no route"; exit 69'
  prep_exit() {
    prep exit
    echo "still here"
  }
  run prep_exit
  assert_status 1
  assert_output "*the library was not synced*no route*"
  assert_equal "" "$stdout" "neither banner nor what follows"
}

test_code_sync() {
  stub ldi
  run code_sync
  assert_status 0
}

test_finish() {
  touch "$logs/jobs_test.sh" "$logs/other"
  run finish
  assert_status 0
  assert_equal other "$(ls "$logs")" "it removes its own file only"
  run finish
  assert_status 0 again
}

test_run_limited() {
  run run_limited 10 bash -c 'exit 3'
  assert_status 3
  count() { echo "$#:$2"; }
  assert_equal "3:b  c" "$(run_limited 10 count a "b  c" '')" "a function, arguments exact"
}

test_run_limited_stops() {
  local began=$SECONDS
  run run_limited 1 sleep 50
  assert_status 124 "too long"
  run run_limited 1 bash -c 'trap "" TERM; while :; do sleep 0.2; done'
  assert_status 124 "TERM ignored"
  [ $((SECONDS - began)) -lt 40 ] || fail "it was not stopped in time"
}
