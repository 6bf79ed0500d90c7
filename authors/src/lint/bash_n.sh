# The syntax of many files in one process. Arguments: files. Answers on stdout, for each file what
# bash complains about and its status, each behind a NUL; first those for a probe, which tells from
# which line this bash counts. `set -n` is in force before a file's first word is read.
check() {
  # Under `set -n` no file can set what its own syntax needs.
  case $1 in
    *extglob*) shopt -s extglob ;;
    *) shopt -u extglob ;;
  esac
  (eval "set -n
$1") 2>&1
  printf '\0%d\0' "$?"
}
check ')'
for file; do
  text=''
  IFS= read -r -d '' text <"$file"
  check "$text"
done
