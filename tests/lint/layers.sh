#!/bin/sh
# layers.sh - no include may point upward (CONTRIBUTING.md, "Layers"), and a
# library is known to one file or folder only.
. "$(dirname "$0")/common.sh"

{
    files '*.c' | sed -n 's|^src/\([a-z]*\)/\(.*\)\.c$|owner \1 \2|p'
    for f in $(files '*.h' '*.c' | grep -E '^(include/noodle|src|kernels)/'); do
        grep -HnE '^[ \t]*#[ \t]*include' "$f" || :
    done
} | awk '
BEGIN {
    # Folder: what it may include.
    may["base"] = "base"
    may["kernels"] = "kernels"
    may["comm"] = "comm base"
    may["store"] = "store base"
    may["model"] = "model store kernels base"
    may["text"] = "text store base"
    may["formats"] = "formats model text store kernels base"
    may["sched"] = "sched base"
    may["plan"] = "plan sched model store kernels base"
    may["observe"] = "observe plan sched model store base"
    below = "observe plan sched formats text model kernels store comm base"
    may["run"] = "run " below
    may["cli"] = "cli run " below
    # A header belongs to the folder of x.c, or of x_*.c, or to this one.
    owner["wire"] = owner["wire_setup"] = owner["wire_report"] = "comm"
    owner["checkpoint"] = "formats"
    owner["sampling"] = "base"
    owner["table"] = "store"
    # Library header: who may include it.
    only["jansson.h"] = "^include/noodle/json\\.h$"
    only["yaml.h"] = "^src/base/yaml\\.c$"
    only["xxhash.h"] = "^src/base/hash\\.c$"
    only["mpi.h"] = "^src/(main\\.c|comm/comm_[a-z_]*\\.[ch])$"
    only["hdf5.h"] = "^src/store/store_[a-z0-9_]*\\.[ch]$"
    only["pcre2.h"] = "^src/text/"
    only["utf8proc.h"] = "^src/text/"
    only["hwloc.h"] = "^src/plan/topology\\.c$"
    only["immintrin.h"] = only["xmmintrin.h"] = only["cpuid.h"] = "^kernels/"
    only["cblas.h"] = "^kernels/[a-z_]*_blas\\.c$"
    n = split("assert complex ctype errno fenv float inttypes limits locale " \
              "math setjmp signal stdalign stdarg stdatomic stdbool stddef " \
              "stdint stdio stdlib stdnoreturn string tgmath threads time", c)
    for (i = 1; i <= n; i++) is_c[c[i] ".h"] = 1
    n = split("dirent dlfcn fcntl fnmatch getopt glob libgen malloc netdb " \
              "poll pthread sched semaphore strings termios unistd", c)
    for (i = 1; i <= n; i++) is_posix[c[i] ".h"] = 1
}
$1 == "owner" {
    owner[$3] = $2
    if (sub(/_.*/, "", $3) && !($3 in owner)) owner[$3] = $2
    next
}
{
    split($0, at, ":")
    file = at[1]
    name = $0
    sub(/^[^:]*:[^:]*:[ \t]*#[ \t]*include[ \t]*/, "", name)
    is_system = name ~ /^</
    sub(/^[<"]/, "", name)
    sub(/[>"].*$/, "", name)
    uses[++n_uses] = file "\t" at[2] "\t" name "\t" is_system
}
function folder_of(file,   parts) {
    if (file ~ /^kernels\//) return "kernels"
    if (file ~ /^src\/main\.c$/) return "cli"
    split(file, parts, "/")
    if (parts[1] == "src") return parts[2]
    sub(/\.h$/, "", parts[3])
    return owner[parts[3]]
}
function breach(why) { print u[1] ":" u[2] ": " u[3] ": " why }
END {
    for (i = 1; i <= n_uses; i++) {
        split(uses[i], u, "\t")
        from = folder_of(u[1])
        if (!(from in may)) {
            breach("no folder owns this file: see the table of layers.sh")
        } else if (u[4]) {
            if (u[3] in only) {
                if (u[1] !~ only[u[3]]) breach("a library of others")
            } else if (from == "kernels" && !(u[3] in is_c)) {
                breach("kernels know the C library only")
            } else if (!(u[3] in is_c) && !(u[3] in is_posix) &&
                       u[3] !~ /^(sys|linux|net|netinet|arpa)\//) {
                breach("an unknown library: see the table of layers.sh")
            }
        } else if (u[3] ~ /^noodle\//) {
            name = u[3]
            sub(/^noodle\//, "", name)
            sub(/\.h$/, "", name)
            if (!(name in owner))
                breach("no folder owns this header: see layers.sh")
            else if (index(" " may[from] " ", " " owner[name] " ") == 0)
                breach(from " may not know " owner[name])
        } else if (u[3] == "kernels.h" || u[3] == "peak.h") {
            if (index(" " may[from] " ", " kernels ") == 0)
                breach(from " may not know kernels")
        } else {
            path = u[1]
            sub(/[^\/]*$/, u[3], path)
            if ((getline line < path) < 0)
                breach("a private header of another folder")
            close(path)
        }
    }
}' | finish
