"""The scripts by which shells ask what may be typed: of stackr itself, in its library's protocols.

A word that goes on (`worker:`, `web=`) gets no blank behind it. bash has `--status=ex` as three
words, which are put together again. Where nothing fits, files are offered.
Source: bash(1), "Programmable Completion"; zshcompsys(1); fish, complete(1).
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["SCRIPTS"]

_BASH = r"""_stackr_completion() {
    local word words=() last=-1
    for word in "${COMP_WORDS[@]:0:COMP_CWORD + 1}"; do
        if (( last >= 0 )) && [[ ${words[last]} == --* ]] &&
            [[ $word == '=' || ${words[last]} == *= ]]; then
            words[last]+=$word
        else
            words[++last]=$word
        fi
    done
    local IFS=$'\n'
    mapfile -t COMPREPLY < <(
        COMP_WORDS="${words[*]}" COMP_CWORD=$last _STACKR_COMPLETE=complete_bash \
            "$1" 2>/dev/null
    )
    [[ ${COMPREPLY[*]} ]] || COMPREPLY=()
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[:=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

complete -o default -F _stackr_completion stackr
"""

_ZSH = r"""#compdef stackr

_stackr_completion() {
    local -a whole open
    local line value
    for line in "${(@f)$(_STACKR_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
            _TYPER_COMPLETE_ARGS="${(j: :)words[1,CURRENT]}" stackr 2>/dev/null)}"; do
        value=${line%%$'\t'*}
        [[ -n $value ]] || continue
        [[ $value == *[:=] ]]
        local goes_on=$?
        value=${value//:/\\:}
        [[ $line == *$'\t'* ]] && value+=":${line#*$'\t'}"
        if (( goes_on == 0 )); then open+=("$value"); else whole+=("$value"); fi
    done
    if (( ! $#whole && ! $#open )); then
        _files
        return
    fi
    (( $#whole )) && _describe stackr whole
    (( $#open )) && _describe stackr open -S ''
}

compdef _stackr_completion stackr
"""

_FISH = r"""function __stackr_complete
    set -lx _STACKR_COMPLETE complete_fish
    set -lx _TYPER_COMPLETE_FISH_ACTION $argv[1]
    set -lx _TYPER_COMPLETE_ARGS (commandline -cp)
    stackr 2>/dev/null
end

complete --command stackr --no-files --condition "__stackr_complete is-args" \
    --arguments "(__stackr_complete get-args)"
"""

SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
