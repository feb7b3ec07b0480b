#!/usr/bin/env bash
# Check gpu_infer on a GPU host without network, from the archive that `make gpu-bundle` built.
#
#   bash bench/gpu_check.sh dist/gpu-bundle.tar.xz          or, in the unpacked bundle:  bash gpu_check.sh
#
#   --results FILE     where the JSON of results goes; default gpu_check.json here
#   --work FOLDER      where everything is unpacked and installed, kept; default a temporary folder, removed if all passed
#   --steps A,B        these steps and those that they need; default all. In their order: packages, device, triton, tests,
#                      job, bench.kernels, bench.transports, bench.volume, bench.files, bench.whole
#   --patience N       limits of the steps' time times N, for a slow host
#   --rehearse         the same steps on the CPU with system shared memory, for a host without a GPU
#   --full             bench.volume with all its cases, up to 768³ and 105 classes, instead of two
#
# FILE is written anew after every step, and with --work the output of every command lies in FOLDER/logs: a check that
# is ended from outside loses no more than the step that it was in. The steps up to job take ten minutes at most.
# Needs Linux on x86-64 and a Python 3.12 with CuPy (PYTHON names it, default python3). Exit code 0: everything passed.
set -euo pipefail

die() { echo "gpu_check: $*" >&2; exit 2; }

bundle=
work=
results=$PWD/gpu_check.json
passed_on=()
while [ $# -gt 0 ]; do
    case $1 in
        --results) results=$(realpath -m "$2"); shift ;;
        --work) work=$2; shift ;;
        --steps|--patience) passed_on+=("$1" "${2?}"); shift ;;
        --rehearse|--full) passed_on+=("$1") ;;
        -*) die "$1: unknown option; the head of this file lists them" ;;
        *) bundle=$1 ;;
    esac
    shift
done

python=$(command -v "${PYTHON:-python3}") || die "${PYTHON:-python3} not found: PYTHON=/path/to/python3.12"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$version" = 3.12 ] || die "$python is Python $version, the bundle is for 3.12: PYTHON=/path/to/python3.12"
[ "$(uname -sm)" = "Linux x86_64" ] || die "the bundle is for Linux on x86-64, this is $(uname -sm)"

ours=
passed=
leave() {
    if [ -n "$passed" ] && [ -n "$ours" ]; then
        rm -rf "$work"
    else
        echo "gpu_check: kept $work, with the output of every command in logs"
    fi
}
if [ -z "$work" ]; then
    work=$(mktemp -d "${TMPDIR:-/tmp}/gpu_check.XXXXXX")
    ours=yes
fi
trap leave EXIT
mkdir -p "$work"
work=$(realpath "$work")
if [ -n "$bundle" ]; then
    [ -f "$bundle" ] || die "$bundle: no such file: make gpu-bundle builds it"
    echo "gpu_check: unpacking $bundle into $work"
    rm -rf "$work/gpu-bundle"
    "$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2], filter="tar")' "$bundle" "$work"
    root=$work/gpu-bundle
else
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    [ -f "$root/manifest.json" ] || die "name the bundle: gpu_check.sh dist/gpu-bundle.tar.xz"
fi

# A folder of its own in front of the host's packages: nothing of the host is changed.
rm -rf "$work/site"
"$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-compile --no-cache-dir \
    --target "$work/site" "$root"/wheels/*.whl || die "pip could not install the bundle's wheels (above: why)"

cd "$root"
unset PYTHONHOME
PYTHONPATH=$work/site:$root/packages PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    "$python" -m bench.gpu_check --work "$work" --results "$results" ${passed_on[@]+"${passed_on[@]}"}
passed=yes
