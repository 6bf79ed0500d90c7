# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

test_the_last_answer_stays() {
  run stable disk ok
  assert_equal ok "$output"
  run stable disk unknown
  assert_equal ok "$output" "unknown just now"
  run stable other unknown
  assert_equal unknown "$output" "never known"
  run stable disk "two
lines"
  run stable disk unknown
  assert_equal "two
lines" "$output"
}

test_it_grows_old() {
  clock 2026-01-01
  stable fact yes >/dev/null
  clock 2026-01-30
  assert_equal yes "$(stable fact unknown)"
  clock 2026-02-01
  assert_equal unknown "$(stable fact unknown)" "after 30 days"
  assert_equal yes "$(stable fact unknown 60)"
  clock 2025-12-31
  assert_equal unknown "$(stable fact unknown)" "from the future"
}

test_without_a_folder() {
  LDI_STATE_DIR='' run stable fact yes
  assert_equal "0 yes" "$status $output"
  unset LDI_STATE_DIR
  run stable fact
  assert_equal "0 unknown" "$status $output"
}

test_a_damaged_answer() {
  for text in "" x "12x
yes" "$(date +%s)"; do
    printf '%s' "$text" >"$LDI_STATE_DIR/last-fact"
    run stable fact unknown
    assert_equal "0 unknown" "$status $output" "\"$text\""
  done
}

test_a_name_is_no_path() {
  for name in "" ../x a/b; do
    run stable "$name" yes
    assert_status 2 "the name \"$name\""
  done
}

test_json_string() {
  assert_equal '""' "$(json_string "")"
  assert_equal '"a \"b\" \\ ä"' "$(json_string 'a "b" \ ä')"
  assert_equal '"a\nb\u0009c\u001b"' "$(json_string $'a\nb\tc\033')"
  type -P python3 >/dev/null || return 0
  text=$(printf 'x\001\002"\\/\n\nend')
  assert_equal "$text" "$(json_string "$text" | python3 -c 'import json, sys; print(json.load(sys.stdin))')"
}
