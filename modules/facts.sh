#!/bin/bash
# How busy and full this machine is, on Linux and macOS. What cannot be determined is printed as
# "unknown".

# uptime_seconds: how long the machine has been up.
uptime_seconds() {
  local _up _rest
  if ! is_macos; then
    read -r _up _rest </proc/uptime
    echo "${_up%%.*}"
    return 0
  fi
  # { sec = 1700000000, usec = 0 } Tue Nov 14 …
  _up=$(sysctl -n kern.boottime 2>/dev/null) || _up=''
  case $_up in
    *' sec = '*) _up=${_up#* sec = } && echo $(($(date +%s) - ${_up%%,*})) ;;
    *) echo unknown ;;
  esac
}

# human_duration SECONDS: 93784 as "1 day 02:03". What is not a number is printed as it is.
human_duration() {
  local _days
  case ${1:-} in
    '' | *[!0-9]*) echo "${1:-unknown}" && return 0 ;;
  esac
  _days=$(($1 / 86400))
  case $_days in
    0) ;;
    1) printf '1 day ' ;;
    *) printf '%d days ' "$_days" ;;
  esac
  printf '%02d:%02d\n' $(($1 / 3600 % 24)) $(($1 / 60 % 60))
}

# load_average: the load of the last 1, 5 and 15 minutes.
load_average() {
  local _one _five _fifteen _rest
  if ! is_macos; then
    read -r _one _five _fifteen _rest </proc/loadavg
  else
    # { 1.50 1.60 1.70 }, with a decimal comma where the locale says so
    read -r _rest _one _five _fifteen _rest <<<"$(LC_ALL=C sysctl -n vm.loadavg 2>/dev/null)" || :
  fi
  echo "${_one:-unknown} ${_five:-unknown} ${_fifteen:-unknown}"
}

# cpu_count: the processors that are on line.
cpu_count() { getconf _NPROCESSORS_ONLN 2>/dev/null || echo unknown; }

# memory_megabytes: "USED TOTAL"; caches do not count as used.
memory_megabytes() {
  if ! is_macos; then
    awk '/^MemTotal:/ { total = $2 } /^MemAvailable:/ { free = $2 }
      END { if (total && free) printf "%d %d\n", (total - free) / 1024, total / 1024; else print "unknown unknown" }' /proc/meminfo
    return 0
  fi
  { { sysctl -n hw.memsize && vm_stat; } 2>/dev/null || :; } | awk '
    NR == 1 { total = $1 }
    /page size of/ { for (i = 1; i < NF; i++) if ($i == "of") page = $(i + 1) }
    /^Pages (active|wired down|occupied by compressor):/ { sub(/\.$/, "", $NF); used += $NF }
    END { if (total && page) printf "%d %d\n", used * page / 1048576, total / 1048576; else print "unknown unknown" }'
}

# local_disks: a line "PERCENT-USED FREE-MEGABYTES MOUNT-POINT" for each writable local disk.
local_disks() {
  # df fails where one of the disks does not answer; the others count.
  { run_limited 20 df -P -k -l || :; } | awk '
    $1 ~ /^\/dev\// && $1 !~ /^\/dev\/loop/ && NF >= 6 {
      point = $6; for (i = 7; i <= NF; i++) point = point " " $i
      # macOS: the helper volumes share their space with the system.
      if (point ~ /^\/System\/Volumes\// && point != "/System/Volumes/Data") next
      if (seen[point]++) next
      sub(/%$/, "", $5); printf "%s %d %s\n", $5, $4 / 1024, point
    }'
}
