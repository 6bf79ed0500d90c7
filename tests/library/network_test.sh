#!/bin/bash
# work, port and what functions set come from harness.sh and modules; stubs are literal text:
# shellcheck disable=SC2016,SC2154
# shellcheck source=harness.sh
. "$(dirname "$0")/harness.sh"
start_server
export LDI_PROBE_SECONDS=2 LDI_WAIT_INTERVAL=0.1 LDI_WAIT_DEADLINE=1
probes() { printf 'corp = %s\ninternet = %s\n' "$1" "$2" >"$work/lib/conf/network.conf"; }
# A port that was free a moment ago.
closed=127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
web=http://127.0.0.1:$port

check_status "a port that listens" 0 probe_network "127.0.0.1:$port"
check_status "a closed port" 1 probe_network "$closed"
check_status "a URL" 0 probe_network "$web/ok"
check_status "a redirect, as a hotspot's" 1 probe_network "$web/portal"
check_status "an error page" 1 probe_network "$web/broken"
check_status "a slow answer" 1 probe_network "$web/slow" 1
for bad in "" nonsense "file:///etc/passwd" "host:" "-o:x" 'a:$(touch run)9'; do
  check_status "not a probe: $bad" 1 probe_network "$bad"
done

probes "$closed $web/ok" "127.0.0.1:$port"
check_status "corp: the second probe answers" 0 check_corp
check_corp
check_equal "sets its variable" True "$check_corp"
check_internet
check_equal "internet" True "$check_internet"
probes "$closed" "$closed"
check_status "corp: none answers" 1 check_corp
check_corp || :
check_equal "sets False" False "$check_corp"
check_internet || :
check_equal "internet: none answers" False "$check_internet"
check_corp True
check_equal "a forced result" True "$check_corp"
check_internet False || :
check_equal "a forced False" False "$check_internet"
probes "" ""
check_status "corp: no probe is no corp" 1 check_corp

pretend_macos
stub route 'exit 0'
check_status "internet, no probe: a default route (macOS)" 0 check_internet
stub route 'exit 1'
check_status "internet, no probe: no default route (macOS)" 1 check_internet
rm "$work/bin/uname" "$work/bin/route"
check_status "internet, no probe: answers either way here" 0 eval 'check_internet || [ "$check_internet" = False ]'

probes "127.0.0.1:$port" "127.0.0.1:$port"
count() { printf '%s|' "$#" "$@" >"$work/args"; }
wait_for_corp count "a b" '' '*'
check_equal "wait_for_corp: a function, arguments exact" "3|a b||*|" "$(cat "$work/args")"
printf '#!/bin/bash\nprintf "%%s|" "$#" "$@"\nexit 4\n' >"$work/script"
check_status "wait_for_internet: a script without run bit, its status" 4 wait_for_internet "$work/script" "x y"
check_equal "its arguments" "1|x y|" "$(output)"
chmod 755 "$work/script"
check_status "wait_for_internet: an executable" 4 wait_for_internet "$work/script"
check_status "wait_for_corp: nothing to run" 0 wait_for_corp
check_status "wait_for_corp: neither function nor file" 127 wait_for_corp "no_such; touch $work/run"
check_status "wait_for_corp: no builtin" 127 wait_for_corp eval true
probes "$closed" "$closed"
check_status "the deadline" 1 wait_for_corp count late
check_match "the deadline: message" "gave up waiting for corp after 1 seconds; count was not run" "$(output)"
check_match "the deadline: nothing was run" "3|*" "$(cat "$work/args")"
# The network comes while it waits.
(sleep 0.5 && probes "127.0.0.1:$port" "") &
LDI_WAIT_DEADLINE=20 check_status "it comes back" 0 wait_for_corp count back
check_equal "then it runs" "1|back|" "$(cat "$work/args")"
wait $! || :
finish_tests
