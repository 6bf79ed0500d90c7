# shellcheck shell=bash
case $LDI_TEST_OS in
  macos) kernel=Darwin release=23.6.0 machine=arm64 ;;
  *) kernel=Linux release=6.1.0-18-amd64 machine=x86_64 ;;
esac
[ $# -gt 0 ] || set -- -s
asked=
for word; do
  case $word in
    -[asnrvmpo]*) asked=$asked${word#-} ;;
    *) echo "uname: the stub of pretend does not know $word" >&2 && exit 1 ;;
  esac
done
said=
for part in s:$kernel n:test.local r:$release v:version m:$machine; do
  case $asked in *[a${part%%:*}]*) said="$said ${part#*:}" ;; esac
done
case $asked in *[po]*) [ -n "$said" ] || said=" $machine" ;; esac
echo "${said# }"
