# shellcheck shell=bash
# GNU date takes the time by -d, BSD's by -r; what asks for another time is left alone.
for word; do
  case $word in
    -[dfjrsv]* | --date* | --file* | --reference* | --set*) other=1 ;;
  esac
done
PATH=${PATH#*:}
real=$(type -P date)
[ -z "${other:-}" ] || exec "$real" "$@"
if "$real" -d @0 >/dev/null 2>&1; then
  exec "$real" -d "@$LDI_TEST_CLOCK" "$@"
fi
exec "$real" -r "$LDI_TEST_CLOCK" "$@"
