# `ldi call <TAB>`: the functions of the active release, or of --tree.
complete -c ldi -n "__fish_ldi_using_subcommand call" -a "(ldi call --list (commandline -opc)[3..-1] -- (commandline -ct) 2>/dev/null)"
