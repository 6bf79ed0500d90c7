
# `ldi call <TAB>`: the functions of the active release, or of --tree.
_ldi_functions() {
    (( CURRENT == 1 )) || { _files; return }
    local tree=${(Q)opt_args[--tree]}
    local -a names=( ${(f)"$(ldi call --list ${tree:+--tree} ${tree:+$tree} -- "$PREFIX" 2>/dev/null)"} )
    compadd -a names
}
