#!/bin/sh
# headers.sh - every header compiles alone.
. "$(dirname "$0")/common.sh"

flags=
for library in ompi hdf5 hwloc libpcre2-8 jansson; do
    flags="$flags $(pkg-config --cflags $library 2>/dev/null || :)"
done

for h in $(files '*.h' | grep -E '^(include|kernels|src)/'); do
    case $h in # the suffix tells the instruction set, as in cmake/
    *_avx2.h) isa="-mavx2 -mfma -mf16c" ;;
    *_avx512*.h) isa="-mavx512f -mavx512bw -mavx512vl -mavx512dq" ;;
    *) isa= ;;
    esac
    # shellcheck disable=SC2086
    printf '#include "%s"\n' "$PWD/$h" |
        ${CC:-cc} -std=c11 -Wall -Wextra -Werror -D_POSIX_C_SOURCE=200809L \
            -D_DEFAULT_SOURCE -Iinclude -Ikernels $flags $isa \
            -fsyntax-only -x c - 2>&1 | sed -n "/error:/{s|^|$h: |p;q}"
done | finish
