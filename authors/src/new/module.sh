# @NAME@: say here what these functions are for.

# @NAME@ [WHO]: greets WHO, or the world.
@NAME@() {
  echo "hello ${1:-world}"
}
