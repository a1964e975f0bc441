#!/bin/sh
# sizes.sh - what is too long to find one's way in hides a new noun.
. "$(dirname "$0")/common.sh"

# shellcheck disable=SC2046
set -- $(files '*.c' '*.h' '*.py' '*.sh' '*.cmake' CMakeLists.txt) \
    $(files '*' | grep -E '^(scripts|jobs|\.ci)/[^.]*$')

{
    grep -HnE '^.{81}' "$@" | sed 's/:\([0-9]*\):.*/:\1: > 80 columns/'
    awk '
        function end_of_file() {
            limit = file ~ /\.h$/ ? 200 : file == "CMakeLists.txt" ? 150 : 600
            if (n > limit) print file ": " n " lines, > " limit
        }
        FNR == 1 { end_of_file(); file = FILENAME; start = 0 }
        { n = FNR }
        file !~ /\.[ch]$/ { next }
        /^\{/ { start = FNR }
        /^\}/ {
            if (start && FNR - start + 1 > 60)
                print file ":" start ": function of " FNR - start + 1 \
                      " lines, > 60"
            start = 0
        }
        END { end_of_file() }' "$@"
} | finish
