# @NAME@: {"kernel"}. Say here what it collects; "unknown" stands for what cannot be told.
@GUARD@
printf '{"kernel": "%s"}\n' "$(uname -r 2>/dev/null || echo unknown)"
