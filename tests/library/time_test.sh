# shellcheck shell=bash disable=SC2154 # the runner's words

setup() {
  export LDI_TIMESYNCD_DIR=$work/timesyncd
  stub systemsetup
  stub timedatectl
  stub systemctl
  conf network ""
}

test_linux() {
  pretend linux
  run set_local_time
  assert_status 0
  assert_equal "timedatectl set-ntp true" "$(calls timedatectl)" "network time on"
  assert_equal "" "$(calls systemctl)" "no server, no change of it"
}

test_linux_with_a_server() {
  pretend linux
  conf network 'time_server = time.example.com'
  run set_local_time
  assert_status 0
  assert_equal "[Time]"$'\n'"NTP=time.example.com" "$(cat "$work/timesyncd/ldi.conf")"
  assert_equal "systemctl try-restart systemd-timesyncd.service" "$(calls systemctl)" "the service learns it"
  run set_local_time $'x\nNTP=y'
  assert_status 1 "not a server"
}

test_macos() {
  pretend macos
  run set_local_time other.example.com
  assert_status 0
  assert_equal "systemsetup -setusingnetworktime on"$'\n'"systemsetup -setnetworktimeserver other.example.com" "$(calls)"
}

test_no_service_for_network_time() {
  pretend linux
  stub timedatectl 'exit 1'
  run set_local_time
  assert_status 1
  assert_output "*run as root*"
}
