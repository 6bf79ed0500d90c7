# shellcheck shell=bash
case $LDI_TEST_OS in
  macos) kernel=Darwin release=23.6.0 machine=arm64 ;;
  *) kernel=Linux release=6.1.0-18-amd64 machine=x86_64 ;;
esac
said=
[ $# -gt 0 ] || set -- -s
for word; do
  case $word in
    -a) said="$said $kernel test.local $release version $machine" ;;
    -s) said="$said $kernel" ;;
    -n) said="$said test.local" ;;
    -r) said="$said $release" ;;
    -v) said="$said version" ;;
    -[mp]) said="$said $machine" ;;
    *) echo "uname: the stub of pretend does not know $word" >&2 && exit 1 ;;
  esac
done
echo "${said# }"
