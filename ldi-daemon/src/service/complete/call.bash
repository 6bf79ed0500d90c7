
# `ldi call <TAB>`: the functions of the active release, or of --tree.
_ldi_call() {
    local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} word
    if [[ ${COMP_WORDS[1]} != call || $cur == -* || $previous == --tree || $previous == --config || $previous == = ]]; then
        _ldi "$@"
        return
    fi
    local -a before=()
    for word in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do
        # `--tree=DIR` comes as three words.
        [[ $word == = ]] || before+=("$word")
    done
    COMPREPLY=()
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <("${COMP_WORDS[0]}" call --list ${before[@]+"${before[@]}"} -- "$cur" 2>/dev/null)
}
complete -F _ldi_call -o bashdefault -o default ldi
