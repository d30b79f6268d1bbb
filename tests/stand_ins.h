// Small conda and module set-ups, made like the real ones: the same files, functions, variables and
// calls, with a few environments that say which they are.
#pragma once

#include <QDir>
#include <QFile>
#include <QString>

namespace test {

inline void write_file(const QString& path, const QByteArray& text, bool executable = false) {
    QDir().mkpath(path.section('/', 0, -2));
    QFile file(path);
    if (!file.open(QIODevice::WriteOnly) || file.write(text) != text.size())
        qFatal("cannot write %s", qPrintable(path));
    if (executable) file.setPermissions(file.permissions() | QFile::ExeOwner | QFile::ExeUser);
}

/// conda's etc/profile.d/conda.sh: exported variables, a function that evaluates what the program
/// prints.
inline QByteArray conda_functions(const QByteArray& root) {
    return "export CONDA_EXE='" + root +
           "/bin/conda'\n"
           "export _CE_M=''\nexport _CE_CONDA=''\n"
           "export CONDA_PYTHON_EXE='" +
           root + R"SH(/bin/python'
__conda_exe() (
    "$CONDA_EXE" $_CE_M $_CE_CONDA "$@"
)
__conda_activate() {
    if [ -n "${CONDA_PS1_BACKUP:+x}" ]; then
        PS1="$CONDA_PS1_BACKUP"
        \unset CONDA_PS1_BACKUP
    fi
    \local ask_conda
    ask_conda="$(PS1="${PS1:-}" __conda_exe shell.posix "$@")" || \return
    \eval "$ask_conda"
    __conda_hashr
}
__conda_hashr() {
    if [ -n "${ZSH_VERSION:+x}" ]; then \rehash; else \hash -r; fi
}
conda() {
    \local cmd="${1-__missing__}"
    case "$cmd" in
        activate|deactivate) __conda_activate "$@" ;;
        *) __conda_exe "$@" ;;
    esac
}
if [ -z "${CONDA_SHLVL+x}" ]; then
    \export CONDA_SHLVL=0
    PATH="$(\dirname "$(\dirname "$CONDA_EXE")")/condabin${PATH:+":${PATH}"}"
    \export PATH
    # as the real one: not safe under set -u
    if [ -z "${PS1+x}" ]; then PS1=; fi
fi
)SH";
}

/// The program: prints the shell code for an activation, and the hook for `conda init`.
inline QByteArray conda_program(const QByteArray& root) {
    return "#!/bin/sh\nroot='" + root + R"SH('
case $1 in
shell.posix)
    [ "$2" = activate ] || exit 2
    name=${3:-base}
    case $name in base) prefix=$root ;; */*) prefix=$name ;; *) prefix=$root/envs/$name ;; esac
    if [ ! -d "$prefix/bin" ]; then
        echo "EnvironmentNameNotFound: Could not find conda environment: $name" >&2
        exit 1
    fi
    new=$PATH
    case $CONDA_SHLVL in
    0) new=$prefix/bin:$PATH ;;
    *) new=$prefix/bin:${PATH#"$CONDA_PREFIX/bin:"} ;;
    esac
    echo "export PATH='$new'"
    echo "export CONDA_PREFIX='$prefix'"
    echo "export CONDA_SHLVL='$((CONDA_SHLVL + 1))'"
    echo "export CONDA_DEFAULT_ENV='$name'"
    ;;
shell.bash) cat "$root/etc/profile.d/conda.sh"; echo "conda activate 'base'" ;;
*) echo "conda $*" ;;
esac
)SH";
}

/// A conda at `root` with the environments base and deep, whose python says which it is.
inline void make_conda(const QString& root) {
    const QByteArray bytes = root.toUtf8();
    write_file(root + "/etc/profile.d/conda.sh", conda_functions(bytes));
    write_file(root + "/bin/conda", conda_program(bytes), true);
    write_file(root + "/condabin/conda", conda_program(bytes), true);
    for (const QString& name : {QString("base"), QString("deep")}) {
        const QString prefix = name == "base" ? root : root + "/envs/" + name;
        write_file(prefix + "/bin/python",
                   "#!/bin/sh\necho \"python of " + name.toUtf8() + ": $*\"\n", true);
    }
}

/// What `conda init` adds to ~/.bashrc.
inline QByteArray conda_init_block(const QByteArray& root) {
    QByteArray text = R"SH(# >>> conda initialize >>>
# !! Contents within this block are managed by 'conda init' !!
__conda_setup="$('ROOT/bin/conda' 'shell.bash' 'hook' 2> /dev/null)"
if [ $? -eq 0 ]; then
    eval "$__conda_setup"
else
    if [ -f "ROOT/etc/profile.d/conda.sh" ]; then
        . "ROOT/etc/profile.d/conda.sh"
    else
        export PATH="ROOT/bin:$PATH"
    fi
fi
unset __conda_setup
# <<< conda initialize <<<
)SH";
    return text.replace("ROOT", root);
}

/// Environment Modules as of version 4: a function, not exported, that evaluates what modulecmd
/// prints.
inline void make_modules(const QString& root) {
    const QByteArray bytes = root.toUtf8();
    write_file(root + "/init/bash",
               "module() { eval \"$('" + bytes + R"SH(/libexec/modulecmd' bash "$@")"; }
ml() { module load "$@"; }
MODULESHOME=')SH" + bytes +
                   "'; export MODULESHOME\n"
                   "if [ -z \"$LOADEDMODULES\" ]; then LOADEDMODULES=; export LOADEDMODULES; fi\n");
    write_file(root + "/libexec/modulecmd", R"SH(#!/bin/sh
[ "$2" = load ] || { echo "test 0;"; exit; }
case $3 in
cuda | cuda/12.1)
    echo "CUDA_HOME=/sw/$3; export CUDA_HOME; PATH=/sw/$3/bin:\$PATH; export PATH;"
    echo "LOADEDMODULES=\${LOADEDMODULES:+\$LOADEDMODULES:}$3; export LOADEDMODULES; test 0;" ;;
*)
    echo "ERROR: Unable to locate a modulefile for '$3'" >&2
    echo "test 0 = 1;" ;;
esac
)SH",
               true);
}

/// micromamba: one program that prints its function and the code for activations.
inline void make_micromamba(const QString& program, const QString& conda_root) {
    write_file(program, "#!/bin/bash\nroot='" + conda_root.toUtf8() + R"SH('
case "$1 $2" in
"shell hook")
    echo "export MAMBA_EXE='$0'"
    cat <<'EOF'
micromamba() {
    local cmd="${1-__missing__}"
    case "$cmd" in
        activate) shift; eval "$("$MAMBA_EXE" shell activate -s bash "$@")" ;;
        *) "$MAMBA_EXE" "$@" ;;
    esac
}
EOF
    ;;
"shell activate") echo "export PATH='$root/envs/$5/bin:$PATH' CONDA_DEFAULT_ENV='$5'" ;;
esac
)SH",
               true);
}

}  // namespace test
