#!/bin/sh
# words.sh - nothing unfinished, nothing that holds on one machine only, no
# stray blanks; and every file can be found by its name alone.
. "$(dirname "$0")/common.sh"

# shellcheck disable=SC2046
set -- $(files '*.c' '*.h' '*.py' '*.sh' '*.md' '*.cmake' '*.txt') \
    $(files '*' | grep -E '^(scripts|jobs|\.ci)/[^.]*$')

{
    grep -HnwE 'TO[D]O|FIX[M]E|X[X]X' "$@" | sed 's/$/   <- unfinished/'
    grep -HnE '(^|[^a-zA-Z0-9_.})])/(home|root|work|Users)/' "$@" |
        sed 's/$/   <- a path of one machine/'
    grep -HnE '[[:blank:]]+$' "$@" | sed 's/$/<- trailing blanks/'
    grep -HnF "$(printf '\r')" "$@" | sed 's/$/<- carriage return/'
    if [ "$(tail -q -c 1 "$@" | tr -d '\n' | wc -c)" -gt 0 ]; then
        for f; do
            [ -z "$(tail -c 1 "$f")" ] || echo "$f: no final newline"
        done
    fi
    files '*.c' '*.h' '*.py' '*.sh' | sed 's|.*/||' | sort | uniq -d |
        sed 's/$/: a name used twice/'
} | finish
