# Sourced by scripts that use what a bare Debian lacks.

# need COMMAND PACKAGE...: Debian's packages, if the command is not there.
need() {
    command -v "$1" >/dev/null && return
    echo "installing ${*:2}" >&2
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    export DEBIAN_FRONTEND=noninteractive
    $sudo apt-get install -y -qq --no-install-recommends "${@:2}" >&2 ||
        { $sudo apt-get update -qq >&2 && $sudo apt-get install -y -qq --no-install-recommends "${@:2}" >&2; }
}
