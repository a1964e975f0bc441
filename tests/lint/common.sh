# shellcheck shell=sh
# common.sh - sourced by every lint.  Goes to the root of the tree to check:
# this project's, or the one named as first argument.  A lint prints its
# breaches, one a line, into `finish`.
set -eu
LC_ALL=C.UTF-8
export LC_ALL
cd "${1:-$(dirname "$0")/../..}"

# Files of ours whose names match one of the patterns, sorted.
files() {
    set -f
    tests="-name $1"
    shift
    for pattern; do tests="$tests -o -name $pattern"; done
    # shellcheck disable=SC2086
    find . \( -name .git -o -name build* -o -name results \) -prune \
        -o -type f \( $tests \) -print | sed 's|^\./||' | sort
    set +f
}

# Pass the breaches on; fail if there are any.
finish() {
    awk '{ print } END { print (NR ? NR " breaches" : "ok"); exit NR > 0 }'
}
