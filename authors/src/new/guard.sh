# By hand: the modules of the library that this file lies in. A tier brings them along.
# shellcheck source=/dev/null
[ -z "${autoinit:-}" ] && { . "${LDI_LIB:-$(dirname "$0")/../..}/modules/autoinit.sh" && autoinit; }

