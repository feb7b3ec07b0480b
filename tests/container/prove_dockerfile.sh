#!/usr/bin/env bash
# Prove the Dockerfile without Docker: every instruction of both variants is carried out in clean Debian roots, then the
# operator runs there as any uid, without HOME and on a read-only root. The GPU variant stands on Debian too, with CuPy
# and NVRTC from PyPI as in the image; it compiles every CUDA kernel, and needs no GPU.
#
#   sudo tests/container/prove_dockerfile.sh [FOLDER [cpu|gpu]...]      about 10 minutes and 5 GB; FOLDER keeps the roots
#
# Needs root, debootstrap and unshare. DEBIAN_MIRROR names another mirror; the host's name servers, certificates, and
# settings for pip and apt's downloads are taken along.
set -euo pipefail
cd "$(dirname "$0")/../.."

die() { echo "prove_dockerfile: $*" >&2; exit 2; }
[ "$(id -u)" = 0 ] || die "needs root (chroot, mount)"
for program in debootstrap unshare python3; do
    command -v "$program" >/dev/null || die "$program not found: apt install debootstrap util-linux python3"
done

work=${1:-}
shift || true
[ "$#" -gt 0 ] || set -- cpu gpu
if [ -z "$work" ]; then
    work=$(mktemp -d /var/tmp/gpu_infer-prove.XXXXXX)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"
root=$work/debian
if [ ! -e "$root/.complete" ]; then
    rm -rf "$root"
    # debian:bookworm-slim is made like this, less some documentation.
    debootstrap --variant=minbase bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/debootstrap.log" \
        || die "debootstrap failed: $(tail -n 1 "$work/debootstrap.log")"
    touch "$root/.complete"
fi
# A mount namespace of its own: whatever happens, no mount outlives the script.
for variant; do
    echo "prove: variant $variant"
    unshare --mount --propagation private python3 tests/container/prove_dockerfile.py "$work" "$variant"
done
