#!/bin/bash
# work, port and what functions set come from harness.sh and modules; stubs are literal text:
# shellcheck disable=SC2016,SC2154
# shellcheck source=harness.sh
. "$(dirname "$0")/harness.sh"
check_equal "human_duration: days" "1 day 02:03" "$(human_duration 93784)"
check_equal "human_duration: minutes" "00:01" "$(human_duration 65)"
check_equal "human_duration: many" "400 days 00:00" "$(human_duration 34560000)"
check_equal "human_duration: unknown" unknown "$(human_duration unknown)"
stub df 'printf "%s\n" "Filesystem 1024-blocks Used Available Capacity Mounted on" "/dev/sda1 1000000 900000 102400 91% /" "tmpfs 1 1 0 100% /run" "/dev/loop3 1 1 0 100% /snap/x" "/dev/sda1 1000000 900000 102400 91% /" "/dev/disk3s6 1 1 20480 1% /System/Volumes/VM" "/dev/disk4s1 1 1 20480 5% /Volumes/My Disk"'
check_equal "local_disks" "91 100 /"$'\n'"5 20 /Volumes/My Disk" "$(local_disks)"

if [ "$(uname -s)" = Linux ]; then
  check_match "Linux: os_name" "?*" "$(os_name)"
  check_match "Linux: uptime_seconds" "[0-9]*" "$(uptime_seconds)"
  check_match "Linux: load_average" "[0-9]*.* [0-9]*.* [0-9]*.*" "$(load_average)"
  check_match "Linux: memory_megabytes" "[0-9]* [0-9]*" "$(memory_megabytes)"
fi
check_match "cpu_count" "[1-9]*" "$(cpu_count)"

pretend_macos
stub sw_vers 'echo 14.5'
check_equal "macOS: os_name" "macOS 14.5" "$(os_name)"
stub sysctl 'case $2 in
kern.boottime) echo "{ sec = 1700000000, usec = 581374 } Tue Nov 14 22:13:20 2023" ;;
vm.loadavg) echo "{ 1.50 1.60 1.70 }" ;;
hw.memsize) echo 17179869184 ;; esac'
stub date 'echo 1700000100'
check_equal "macOS: uptime_seconds" 100 "$(uptime_seconds)"
check_equal "macOS: load_average" "1.50 1.60 1.70" "$(load_average)"
stub vm_stat 'cat <<END
Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                                4096.
Pages active:                            200000.
Pages inactive:                          190000.
Pages wired down:                         64000.
Pages purgeable:                           1000.
Pages stored in compressor:               90000.
Pages occupied by compressor:             56000.
END'
check_equal "macOS: memory_megabytes" "5000 16384" "$(memory_megabytes)"
stub sysctl 'exit 1'
check_equal "macOS: unknown" "unknown unknown" "$(memory_megabytes)"
check_equal "macOS: uptime unknown" unknown "$(uptime_seconds)"
finish_tests
