#!/bin/sh
# The kernels compiled at build time go where they may be written: numba refuses a cache that is read-only.
set -eu
if [ -d /opt/windvane/kernels ] && [ ! -d "$WINDVANE_CACHE" ]; then
    cp -a /opt/windvane/kernels "$WINDVANE_CACHE"
fi
exec "$@"
