# Completes gpuspool in bash: verbs and options as its own help names them, jobs by their files in the spool.
# shellcheck shell=bash

# Completes with the words in the first column of a section of `gpuspool [VERB] --help`.
_gpuspool_from_help() { # SECTION [VERB]
    local word
    while read -r word; do
        if [[ $word == "$cur"* ]]; then COMPREPLY+=("$word"); fi
    done < <("${COMP_WORDS[0]/#\~/$HOME}" ${2:+"$2"} --help 2>/dev/null |
        sed -n "/^$1:/,/^\$/s/^  \\([a-z-][a-zA-Z,-]*\\).*/\\1/p" | tr ',' '\n')
}

# Completes with the names of the jobs in directories of the spool.
_gpuspool_jobs() { # DIRECTORY…
    local directory file name
    for directory; do
        for file in "$spool/$directory"/*; do
            name=${file##*/}
            case $directory/$name in
                done/*.json | [ir]*/*.job | [ir]*/*.sh | [ir]*/*.sbatch | [ir]*/*.slurm) ;;
                *) continue ;;
            esac
            printf -v name '%q' "${name%.*}"
            if [[ $name == "$cur"* ]]; then COMPREPLY+=("$name"); fi
        done
    done
}

_gpuspool() {
    local cur=${COMP_WORDS[COMP_CWORD]} spool=${GPUSPOOL_DIR:-$HOME/.gpuspool} verb='' i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --spool) i=$((i + 1)) spool=${COMP_WORDS[i]/#\~/$HOME} ;;
            -- | [!-]*) verb=${verb:-${COMP_WORDS[i]}} ;;
        esac
    done
    case ${COMP_WORDS[COMP_CWORD - 1]} in
        --spool | --chdir | --output) compopt -o default 2>/dev/null; return ;;
    esac
    case $verb/$cur in
        /-*) _gpuspool_from_help Options ;;
        /*) _gpuspool_from_help Subcommands ;;
        submit/*) # what follows -- or the file belongs to the job
            if [[ $cur == -* && " ${COMP_WORDS[*]:0:COMP_CWORD} " != *' -- '* ]]; then
                _gpuspool_from_help Options submit
            fi
            compopt -o default 2>/dev/null ;;
        */-*) _gpuspool_from_help Options "$verb" ;;
        cancel/*) _gpuspool_jobs incoming running ;;
        priority/* | top/* | hold/* | release/* | edit/*) _gpuspool_jobs incoming ;;
        suspend/* | continue/*) _gpuspool_jobs running ;;
        retry/*) _gpuspool_jobs 'done' ;;
        log/* | show/* | wait/*) _gpuspool_jobs incoming running 'done' ;;
    esac
}

complete -F _gpuspool gpuspool
