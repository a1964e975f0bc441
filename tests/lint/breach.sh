#!/bin/sh
# breach.sh - every lint notices a breach of its rule, and a clean tree passes.
set -eu
lints=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
n_failed=0

# expect STATUS LINT FILE TEXT: what LINT says of a tree with just this FILE.
expect() {
    rm -rf "${tree:?}"/*
    mkdir -p "$tree/$(dirname "$3")" "$tree/src/base" "$tree/include/noodle"
    cp "$lints/../../.clang-format" "$tree/"
    touch "$tree/src/base/status.c" "$tree/include/noodle/status.h"
    printf "$4" >"$tree/$3"
    status=0
    "$lints/$2" "$tree" >"$tree/said" 2>&1 || status=$?
    if [ "$status" -ne "$1" ] && [ "$status" -ne 77 ]; then
        echo "$2 gave $status for $3: $4"
        cat "$tree/said"
        n_failed=$((n_failed + 1))
    fi
}

inc='#include'
expect 0 layers.sh src/base/a.c "$inc \"noodle/status.h\"\n$inc <stdio.h>\n"
expect 0 layers.sh src/run/a.c "$inc \"noodle/status.h\"\n"
expect 0 layers.sh kernels/a.c "$inc <immintrin.h>\n$inc <stddef.h>\n"
expect 0 layers.sh src/comm/comm_mpi.c "$inc <mpi.h>\n"
expect 1 layers.sh kernels/a.c "$inc \"noodle/status.h\"\n"
expect 1 layers.sh kernels/a.c "$inc <pthread.h>\n"
expect 1 layers.sh src/base/a.c "$inc \"noodle/wire.h\"\n"
expect 1 layers.sh src/base/a.c "  #  include  \"kernels.h\"\n"
expect 1 layers.sh src/model/a.c "$inc \"noodle/checkpoint.h\"\n"
expect 1 layers.sh src/base/a.c "$inc \"other.h\"\n"
expect 1 layers.sh src/base/a.c "$inc <mpi.h>\n"
expect 1 layers.sh src/run/a.c "$inc <hdf5.h>\n"
expect 1 layers.sh src/base/a.c "$inc <openssl/md5.h>\n"
expect 1 layers.sh include/noodle/zz.h "$inc <stdio.h>\n"
expect 0 headers.sh include/noodle/a.h 'int a(void);\n'
expect 1 headers.sh include/noodle/a.h 'int a(size_t n);\n'
expect 0 format.sh src/base/a.c 'int a;\n'
expect 1 format.sh src/base/a.c 'int   a;\n'
lines=$(printf '%060d' 0 | sed 's/0/    x;\\n/g')
expect 1 sizes.sh src/base/a.c "int a(void)\n{\n$lines}\n"
expect 1 sizes.sh src/base/a.c "$(printf '// %080d' 0)\n"
expect 0 sizes.sh src/base/a.c "int a(void)\n{\n    x;\n}\n"
lines=$(printf '%0601d' 0 | sed 's/0/\\n/g')
expect 1 sizes.sh src/base/a.c "$lines"
expect 0 words.sh src/base/a.c 'char t[] = "/tmp/a_XXXXXX";\n'
expect 1 words.sh src/base/a.c '/* TO''DO: more */\n'
expect 1 words.sh src/base/a.c 'int a; \n'
expect 1 words.sh src/base/a.c 'char t[] = "/ho''me/me";\n'
expect 1 words.sh src/base/a.c 'int a;'
expect 1 words.sh src/run/status.c 'int a;\n'
[ $n_failed -eq 0 ] && echo ok
