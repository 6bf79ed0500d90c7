#!/bin/bash
# work, port and what functions set come from harness.sh and modules; stubs are literal text:
# shellcheck disable=SC2016,SC2154
# shellcheck source=harness.sh
. "$(dirname "$0")/harness.sh"
export LDI_TIMESYNCD_DIR=$work/timesyncd
for tool in systemsetup timedatectl systemctl; do
  stub "$tool" 'echo "${0##*/} $*" >>"'"$work"'/called"'
done
stub uname 'echo Linux'
check_status "Linux" 0 set_local_time
check_equal "Linux: network time on" "timedatectl set-ntp true" "$(cat "$work/called")"
rm "$work/called"
echo 'time_server = time.example.com' >"$work/lib/conf/network.conf"
check_status "Linux, a server" 0 set_local_time
check_equal "Linux: the server is written" "[Time]"$'\n'"NTP=time.example.com" "$(cat "$work/timesyncd/ldi.conf")"
check_match "Linux: the service learns it" "*systemctl try-restart systemd-timesyncd.service" "$(cat "$work/called")"
check_status "not a server" 1 set_local_time $'x\nNTP=y'
rm "$work/called"
pretend_macos
check_status "macOS" 0 set_local_time other.example.com
check_equal "macOS: commands" "systemsetup -setusingnetworktime on"$'\n'"systemsetup -setnetworktimeserver other.example.com" "$(cat "$work/called")"
stub uname 'echo Linux'
stub timedatectl 'exit 1'
check_status "no service for network time" 1 set_local_time
check_match "and says so" "*run as root*" "$(output)"
finish_tests
