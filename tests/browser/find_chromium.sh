#!/bin/sh
# Prints the path of a Chromium or Chrome for the browser tests; installs one where that is possible.
# CHROMIUM=/path wins over what is on PATH.
set -u

if [ -n "${CHROMIUM:-}" ]; then
    command -v "$CHROMIUM" && exit 0
    echo "CHROMIUM=$CHROMIUM is no program that can be run." >&2
    exit 1
fi
find_one() {
    # The shell has no window to draw, so its pages start sooner.
    for name in chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" && return 0
    done
    return 1
}
find_one && exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo -n"
    command -v sudo >/dev/null || as_root="none"
fi
if command -v apt-get >/dev/null && [ "$as_root" != none ]; then
    echo "No Chromium found: installing it with apt-get." >&2
    $as_root apt-get update -q >&2 || true
    $as_root apt-get install -y -q chromium-headless-shell >&2 || $as_root apt-get install -y -q chromium >&2 || true
    find_one && exit 0
fi
echo "The browser tests need Chromium or Chrome, and it could not be installed here." >&2
echo "Install one, or name it: make test CHROMIUM=/path/to/chromium" >&2
exit 1
