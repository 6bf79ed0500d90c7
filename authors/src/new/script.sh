# ldi: timeout=10m
# @NAME@: say here in a sentence what it does.
@GUARD@
echo "@NAME@: this is $(uname -n)"
