# shellcheck shell=bash disable=SC2016,SC2154 # stubs are literal text; the runner's words

# A loopback web server; sets port, web and closed, a port that was free a moment ago.
setup() {
  export LDI_PROBE_SECONDS=2 LDI_WAIT_INTERVAL=0.1 LDI_WAIT_DEADLINE=1
  python3 "${BASH_SOURCE[0]%/*}/loopback.py" >"$work/port" &
  closed=127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  local tries=0
  until [ -s "$work/port" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || return 1
    sleep 0.1
  done
  port=$(cat "$work/port")
  web=http://127.0.0.1:$port
}

probes() { conf network "corp = $1"$'\n'"internet = $2"$'\n'; }

test_probe_network() {
  run probe_network "127.0.0.1:$port"
  assert_status 0 "a port that listens"
  run probe_network "$closed"
  assert_status 1 "a closed port"
  run probe_network "$web/ok"
  assert_status 0 "a URL"
  run probe_network "$web/portal"
  assert_status 1 "a redirect, as a hotspot's"
  run probe_network "$web/broken"
  assert_status 1 "an error page"
  run probe_network "$web/slow" 1
  assert_status 1 "a slow answer"
}

test_what_is_no_probe() {
  local bad
  for bad in "" nonsense "file:///etc/passwd" "host:" "-o:x" 'a:$(touch run)9'; do
    run probe_network "$bad"
    assert_status 1 "$bad"
  done
  [ ! -e run ] || fail "a probe was run as code"
}

test_check() {
  probes "$closed $web/ok" "127.0.0.1:$port"
  run check_corp
  assert_status 0 "the second probe answers"
  check_corp
  assert_equal True "$check_corp" "its variable"
  check_internet
  assert_equal True "$check_internet" internet
}

test_check_when_none_answers() {
  probes "$closed" "$closed"
  run check_corp
  assert_status 1
  check_corp
  assert_equal False "$check_corp" corp
  check_internet
  assert_equal False "$check_internet" internet
  probes "" ""
  run check_corp
  assert_status 1 "no probe is no corp"
}

test_a_forced_result() {
  check_corp True
  assert_equal True "$check_corp" True
  check_internet False || :
  assert_equal False "$check_internet" False
}

test_internet_without_a_probe() {
  probes "" ""
  run check_internet
  assert_match "[01]" "$status" "it answers either way here"
  pretend macos
  stub route
  run check_internet
  assert_status 0 "a default route (macOS)"
  stub route 'exit 1'
  run check_internet
  assert_status 1 "no default route (macOS)"
}

count() { printf '%s|' "$#" "$@" >"$work/args"; }

test_wait_for_runs() {
  probes "127.0.0.1:$port" "127.0.0.1:$port"
  wait_for_corp count "a b" '' '*'
  assert_equal "3|a b||*|" "$(cat "$work/args")" "a function, arguments exact"
  printf '#!/bin/bash\nprintf "%%s|" "$#" "$@"\nexit 4\n' >"$work/script"
  run wait_for_internet "$work/script" "x y"
  assert_status 4 "a script without run bit"
  assert_output "1|x y|"
  chmod 755 "$work/script"
  run wait_for_internet "$work/script"
  assert_status 4 "an executable"
  run wait_for_corp
  assert_status 0 "nothing to run"
}

test_wait_for_refuses() {
  probes "127.0.0.1:$port" ""
  run wait_for_corp "no_such; touch $work/run"
  assert_status 127 "neither function nor file"
  [ ! -e "$work/run" ] || fail "it was run as code"
  run wait_for_corp eval true
  assert_status 127 "no builtin"
}

test_the_deadline() {
  probes "$closed" "$closed"
  run wait_for_corp count late
  assert_status 1
  assert_output "*gave up waiting for corp after 1 seconds; count was not run"
  [ ! -e "$work/args" ] || fail "it was run all the same"
}

test_the_network_comes_while_it_waits() {
  probes "$closed" ""
  (sleep 0.5 && probes "127.0.0.1:$port" "") &
  LDI_WAIT_DEADLINE=40 run wait_for_corp count back
  assert_status 0
  assert_equal "1|back|" "$(cat "$work/args")" "then it runs"
}
