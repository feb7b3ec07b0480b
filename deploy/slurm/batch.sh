#!/usr/bin/env bash
#SBATCH --job-name=gpu-infer
#SBATCH --array=0-3
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --gres=gpu:1
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=gpu-infer-%A_%a.log
#SBATCH --signal=B:USR1@120
#
# Segments many volumes as a Slurm array: each task takes its part of the cases (docs/many-volumes.md).
#
#   sbatch deploy/slurm/batch.sh cases.csv results --config my_config
#   sbatch --array=0-15 --export=ALL,IMAGE=$PWD/gpu_infer.sif deploy/slurm/batch.sh cases.csv results
#
# Arguments: the cases (a folder, a quoted pattern, a .csv), the output folder, and options of gpu-infer batch.
#
# Variables:
#   VENV          virtual environment with gpu-infer; without it and IMAGE, gpu-infer is on PATH
#   IMAGE         image of Apptainer, made with `apptainer build gpu_infer.sif docker-daemon://gpu_infer:latest`
#   BIND          folders that the image needs besides your home and the current one, with commas between them
#   TRITON        address of a server; by default `local`: each task starts one on its GPU
#   MAX_RESTARTS  how often a task begins again (default 5): after exit codes 4 and 5, and at the end of its time.
#                 Cases that are done are not done again
#
# Install the local server once, where there is a network: `gpu-infer triton install`.
set -euo pipefail

say() { echo "batch.sh: $*" >&2; }

fail() { # MESSAGE
    say "error: $1"
    exit 2
}

[ $# -ge 2 ] || fail "found $# arguments, expected the cases and the output folder (sbatch batch.sh cases.csv results)"
cases=$1 output=$2
shift 2

[ -n "${SLURM_JOB_ID:-}" ] || fail "not in a job of Slurm (start it with sbatch)"
first=${SLURM_ARRAY_TASK_MIN:-0} last=${SLURM_ARRAY_TASK_MAX:-0} count=${SLURM_ARRAY_TASK_COUNT:-1}
# With gaps, such as --array=3,5, no task would take the parts in between.
[ $((last - first + 1)) -eq "$count" ] \
    || fail "--array has $count tasks from $first to $last, expected no gaps (the whole array again: cases that are done are skipped)"

max_restarts=${MAX_RESTARTS:-5}
case $max_restarts in *[!0-9]*) fail "MAX_RESTARTS=$max_restarts: expected a whole number" ;; esac

command=(gpu-infer batch --input "$cases" --output "$output" --triton "${TRITON:-local}")
[ "$count" -eq 1 ] || command+=(--part "$((SLURM_ARRAY_TASK_ID - first + 1))/$count")
command+=("$@")
if [ -n "${IMAGE:-}" ]; then
    [ -z "${VENV:-}" ] || fail "IMAGE and VENV exclude each other (unset one)"
    [ -f "$IMAGE" ] || fail "IMAGE=$IMAGE: no such file"
    engine=$(command -v apptainer || command -v singularity) || fail "neither apptainer nor singularity found (module load apptainer?)"
    # Empty: publish nothing. The image has a folder for that, which cannot be written.
    container=("$engine" exec --nv --env NVIDIA_CLARA_PUBLISHING=)
    [ -z "${BIND:-}" ] || container+=(--bind "$BIND")
    command=("${container[@]}" "$IMAGE" "${command[@]}")
else
    if [ -n "${VENV:-}" ]; then
        [ -x "$VENV/bin/gpu-infer" ] || fail "VENV=$VENV: no bin/gpu-infer in it"
        PATH=$VENV/bin:$PATH
    fi
    command -v gpu-infer >/dev/null || fail "gpu-infer not found (set VENV or IMAGE)"
fi

# Threads of the CPU kernels: the processors of this task, not those of the node.
export NUMBA_NUM_THREADS=${NUMBA_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}

child="" time_is_up=""

# Passed on once, so that gpu-infer gives up its cases and cleans up.
# shellcheck disable=SC2329  # the traps call it
forward() {
    [ -z "$child" ] || kill -s TERM "$child" 2>/dev/null || true
}

# Slurm sends USR1 two minutes before the end of the time (--signal above).
trap 'time_is_up=yes; forward' USR1
trap 'forward' TERM INT

say "task ${SLURM_ARRAY_TASK_ID:-0} of $first to $last, start $((${SLURM_RESTART_COUNT:-0} + 1)): ${command[*]}"

# A process group of its own: at scancel Slurm signals this script's group, and a second signal would kill gpu-infer.
set -m
"${command[@]}" </dev/null &
child=$!
set +m
while :; do
    code=0
    wait "$child" || code=$?
    kill -0 "$child" 2>/dev/null || break
done
child=""

requeue() { # REASON
    if [ "${SLURM_RESTART_COUNT:-0}" -ge "$max_restarts" ]; then
        say "$1; not requeued: it began $((max_restarts + 1)) times (MAX_RESTARTS=$max_restarts)"
    elif scontrol requeue "$SLURM_JOB_ID"; then
        say "$1; requeued"
    else
        say "$1; not requeued, see the message of scontrol above"
    fi
}

if [ "$code" -ne 0 ] && [ -n "$time_is_up" ]; then
    requeue "the time of this task is up"
else
    case $code in
        0) say "done" ;;
        4 | 5) requeue "exit code $code (4: server or model, 5: memory or disk)" ;;
        6) say "some cases failed: see status.csv in $output" ;;
        *) say "exit code $code (docs/exit-codes.md)" ;;
    esac
fi
exit "$code"
