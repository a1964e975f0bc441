#!/bin/sh
# format.sh - .clang-format decides.
. "$(dirname "$0")/common.sh"

if ! command -v clang-format >/dev/null; then
    echo "skipped: no clang-format (scripts/setup --test installs it)"
    exit 77
fi
files '*.c' '*.h' | xargs -r clang-format --dry-run -Werror 2>&1 |
    grep -E '(error|warning):' | finish
