#!/usr/bin/env bash
# Check gpu_infer on a GPU host without network, from the archive that `make gpu-bundle` built.
#
#   bash deploy/gpu_check/gpu_check.sh dist/gpu-bundle.tar.xz          or, in the unpacked bundle:  bash gpu_check.sh
#
#   --results PLACE    folder for gpu_check.json, gpu_check.png and gpu_check-logs.tgz, or the JSON's own name; default .
#   --work FOLDER      folder for unpacking and installing; it stays, and a second call installs nothing again.
#                      Default: with --part a fixed one in TMPDIR, else a new one, removed if all passed
#   --part 1|2|3       the steps of one call on a host that is lent for minutes; each part adds its number to the results'
#                      names. 1: memory, packages, device, triton, job, bench.kernels   2: tests, bench.volume,
#                      bench.transports   3: sanitizer, counters, bench.uploads, bench.whole, bench.files
#   --seconds N        end after N seconds, this script's start included; default with --part 410
#   --steps A,B        these steps and those that they need; default all, in the order above
#   --patience N       limits of the steps' time times N, for a slow host
#   --rehearse         the same steps on a host without a GPU, over system shared memory; if the driver counts a CUDA
#                      device, on that device, and broken promises are no failure
#   --full             bench.volume with all its cases, up to 768³ and 105 classes, instead of two
#
# The JSON is written again after every step, and the output of every command is in WORK/logs: a check that is ended from
# outside loses only the running step. The logs are packed next to the JSON however the check ends.
# Needs Linux on x86-64 and a Python 3.12 with CuPy (PYTHON names it, default python3). Exit code 0: no step failed.
set -euo pipefail

die() { echo "gpu_check: $*" >&2; exit 2; }

bundle=
work=
part=
seconds=
results=$PWD
options=()
while [ $# -gt 0 ]; do
    case $1 in
        --results) results=${2?} ; shift ;;
        --work) work=${2?} ; shift ;;
        --part) part=${2?}; shift ;;
        --seconds) seconds=${2?}; shift ;;
        --steps|--patience) options+=("$1" "${2?}"); shift ;;
        --rehearse|--full) options+=("$1") ;;
        -*) die "$1: unknown option; the head of this file lists them" ;;
        *) bundle=$1 ;;
    esac
    shift
done
results=$(realpath -m "$results")

python=$(command -v "${PYTHON:-python3}") || die "${PYTHON:-python3} not found: PYTHON=/path/to/python3.12"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$version" = 3.12 ] || die "$python is Python $version, the bundle is for 3.12: PYTHON=/path/to/python3.12"
[ "$(uname -sm)" = "Linux x86_64" ] || die "the bundle is for Linux on x86-64, this is $(uname -sm)"
if [ -n "$part" ]; then
    case $part in 1|2|3) ;; *) die "--part $part: there are parts 1, 2 and 3" ;; esac
    options+=(--part "$part")
    work=${work:-${TMPDIR:-/tmp}/gpu_check.$(id -u)}
    seconds=${seconds:-410}
fi

root=
child=
temporary=
passed=
leave() {
    trap '' TERM INT
    if [ -n "$child" ] && kill -TERM "$child" 2>/dev/null; then wait "$child" || true; fi
    if [ -n "$root" ] && [ -d "$work/logs" ]; then
        (cd "$root" && PYTHONPATH= "$python" -m deploy.gpu_check.results --work "$work" --results "$results" \
            ${part:+--part "$part"}) || echo "gpu_check: the logs could not be packed, they lie in $work/logs" >&2
    fi
    if [ -n "$passed" ] && [ -n "$temporary" ]; then
        rm -rf "$work"
    else
        echo "gpu_check: $work stays, with the output of every command in logs"
    fi
}
if [ -z "$work" ]; then
    work=$(mktemp -d "${TMPDIR:-/tmp}/gpu_check.XXXXXX")
    temporary=yes
fi
trap leave EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
mkdir -p "$work"
[ -O "$work" ] || die "$work belongs to another user: name one of your own with --work"
work=$(realpath "$work")

# Files that an earlier call unpacked and installed from the same archive are used again.
if [ -n "$bundle" ]; then
    [ -f "$bundle" ] || die "$bundle: no such file: make gpu-bundle builds it"
    sum=$(sha256sum "$bundle" | cut -d' ' -f1)
    root=$work/gpu-bundle
    if [ "$(cat "$work/unpacked" 2>/dev/null)" != "$sum" ]; then
        echo "gpu_check: unpacking $bundle into $work"
        if [ -f "$work/unpacked" ]; then rm -rf "$work/cache"; fi  # another archive's server and kernels
        rm -rf "$root" "$work/site" "$work/unpacked" "$work/installed" "$work/passed.json"
        "$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2], filter="tar")' \
            "$bundle" "$work"
        echo "$sum" > "$work/unpacked"
    fi
else
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    [ -f "$root/manifest.json" ] || die "name the bundle: gpu_check.sh dist/gpu-bundle.tar.xz"
fi

# A separate folder, before the host's packages in the path: nothing of the host is changed. pip compiles bytecode, as in
# every installation, since the benches measure imports, too.
sum="$python $(sha256sum "$root/manifest.json" | cut -d' ' -f1)"
if [ "$(cat "$work/installed" 2>/dev/null)" != "$sum" ]; then
    rm -rf "$work/site" "$work/installed"
    "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-cache-dir \
        --target "$work/site" "$root"/wheels/*.whl || die "pip could not install the bundle's wheels (above: why)"
    echo "$sum" > "$work/installed"
fi

cd "$root"
unset PYTHONHOME PYTHONDONTWRITEBYTECODE
if [ -n "$seconds" ]; then
    options+=(--seconds "$((seconds - SECONDS - 10))")  # the rest packs the logs
fi
PYTHONPATH=$work/site:$root/packages${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 \
    "$python" -m deploy.gpu_check.main --work "$work" --results "$results" ${options[@]+"${options[@]}"} &
child=$!
status=0
wait "$child" || status=$?
child=
[ "$status" = 0 ] || exit "$status"
passed=yes
