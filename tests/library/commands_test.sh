# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

times() { # fails until it was called $1 times
  echo x >>"$work/tries"
  [ "$(grep -c x "$work/tries")" -ge "$1" ]
}

test_noop_runs() {
  run noop printf '%s|' a "b c"
  assert_equal "a|b c|" "$stdout"
  run noop false
  assert_status 1
}

test_noop_only_says() {
  LDI_NOOP=1 run noop touch "$work/a b"
  assert_status 0
  assert_equal "would run: touch $work/a\\ b" "$stderr"
  [ ! -e "$work/a b" ] || fail "it was run"
}

test_would() {
  run would remove it
  assert_status 1
  assert_equal "" "$output"
  LDI_NOOP=1 run would remove it
  assert_status 0
  assert_equal "would remove it" "$stderr"
}

test_retry_until_it_succeeds() {
  stub sleep
  run retry 5 2 times 3
  assert_status 0
  assert_equal "sleep 2
sleep 4" "$(calls sleep)"
  assert_output "*times ended with status 1; again in 2 s*"
}

test_retry_gives_up() {
  stub sleep
  run retry 2 0 bash -c 'exit 7'
  assert_status 7 "the last status"
  assert_output "*failed, the last of 2 tries with status 7"
}

test_retry_waits_at_most_five_minutes() {
  stub sleep
  run retry 4 200 false
  assert_equal "sleep 200
sleep 300
sleep 300" "$(calls sleep)"
}

test_retry_keeps_arguments() {
  run retry 1 0 printf '%s|' "a b" ''
  assert_equal "a b||" "$stdout"
}

test_retry_needs_numbers() {
  for words in "" "3" "3 1" "x 1 true" "3 -1 true"; do
    # shellcheck disable=SC2086 # several words
    run retry $words
    assert_status 2 "retry $words"
  done
}

test_with_lock_runs() {
  LDI_LOCK_DIR=$work/locks run with_lock one printf '%s|' "a b" c
  assert_status 0
  assert_equal "a b|c|" "$stdout"
  LDI_LOCK_DIR=$work/locks run with_lock one bash -c 'exit 9'
  assert_status 9
  assert_equal "$work/locks" "$(find "$work/locks" -prune -perm 700)" "for this account only"
}

hold() { # holds the lock until $work/go is there
  with_lock one bash -c 'touch "$0/held"; until [ -e "$0/go" ]; do sleep 0.05; done' "$work"
}

held() {
  export LDI_LOCK_DIR=$work/locks
  hold &
  holder=$!
  until [ -e "$work/held" ]; do sleep 0.05; done
}

test_with_lock_waits_and_gives_up() {
  held
  LDI_LOCK_WAIT=0 run with_lock one touch "$work/ran"
  assert_status 75
  assert_output "*one is held by another process*"
  [ ! -e "$work/ran" ] || fail "it ran beside the other one"
  run with_lock other true
  assert_status 0 "another name is another lock"
  touch "$work/go"
  LDI_LOCK_WAIT=30 run with_lock one touch "$work/ran"
  assert_status 0
  [ -e "$work/ran" ] || fail "it did not run"
  wait "$holder"
}

test_with_lock_without_flock() {
  command -v perl >/dev/null || skip "perl is not here"
  export LDI_LOCK_DIR=$work/locks
  local name
  for name in perl mkdir id; do ln -s "$(type -P "$name")" "$work/bin/$name"; done
  no_commands
  ! command -v flock >/dev/null || fail "flock is still there"
  run with_lock one echo ran
  assert_equal ran "$output"
}

test_with_lock_is_not_inherited() {
  export LDI_LOCK_DIR=$work/locks
  # What the command leaves running does not keep the lock.
  with_lock one bash -c 'sleep 30 >/dev/null 2>&1 & echo $! >"$0/left"' "$work"
  LDI_LOCK_WAIT=0 run with_lock one echo free
  assert_equal free "$output"
  kill "$(cat "$work/left")"
}

test_with_lock_leaves_descriptors_alone() {
  export LDI_LOCK_DIR=$work/locks
  exec 9< <(echo secret)
  LDI_SECRET_PIN_FD=9 run with_lock one ldi_secret pin
  assert_equal secret "$output"
}

test_with_lock_nested() {
  export LDI_LOCK_DIR=$work/locks LDI_LOCK_WAIT=0
  run with_lock one with_lock two echo both
  assert_equal both "$output"
  run with_lock one with_lock one echo never
  assert_status 75 "a lock is not for its holder a second time"
}

test_with_lock_refuses() {
  export LDI_LOCK_DIR=$work/locks
  for name in "" ../x a/b .x "a b"; do
    run with_lock "$name" true
    assert_status 2 "the name \"$name\""
  done
  run with_lock one
  assert_status 2
  mkdir "$work/elsewhere"
  ln -s "$work/elsewhere" "$work/locks"
  run with_lock one echo never
  assert_status 1 "a folder that is a link"
  assert_output "*not a folder of this account's own*"
}
