# shellcheck shell=bash
# What every stub begins with. One that calls its own name would otherwise fork until its time is up.
export LDI_TEST_DEPTH=$((${LDI_TEST_DEPTH:-0} + 1))
if [ "$LDI_TEST_DEPTH" -gt 40 ]; then
  echo "the stub ${0##*/} calls itself; give it the whole path of the command" >&2
  exit 126
fi
