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
#   IMAGE         image of gpu_infer for Apptainer (….sif)
#   TRITON        `local` (default): each task starts the local server. An image of Triton for Apptainer (….sif): each task
#                 starts that one, with the models in MODELS. host:port: a server that runs
#   MODELS        model repository of a server that is started here
#   TRITON_ARGS   options of tritonserver; by default --model-config-name=onnxruntime --allow-client-shm=true
#   BIND          folders that the images need besides your home and the current one, with commas between them
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

triton=${TRITON:-local}
apptainer=()
case ${IMAGE:+image}$triton in
    image* | *.sif)
        engine=$(command -v apptainer || command -v singularity) \
            || fail "neither apptainer nor singularity found (module load apptainer?)"
        apptainer=("$engine" exec --nv)
        [ -z "${BIND:-}" ] || apptainer+=(--bind "$BIND")
        ;;
    *) [ -z "${BIND:-}" ] || fail "BIND is for images (unset it)" ;;
esac

case $triton in
    *.sif) ;;
    *) [ -z "${TRITON_ARGS:-}" ] || fail "TRITON_ARGS is for an image of Triton (unset it)" ;;
esac
server=() options=()
case $triton in
    local) [ -z "${MODELS:-}" ] || options=(--models "$MODELS") ;;
    *.sif)
        [ -f "$triton" ] || fail "TRITON=$triton: no such file"
        [ -d "${MODELS:-}" ] || fail "MODELS=${MODELS:-}: expected the model repository for $triton"
        # Tasks of one node have different numbers, and so different ports.
        port=$((20000 + SLURM_JOB_ID % 10000 * 2))
        triton=127.0.0.1:$port
        read -ra triton_args <<<"${TRITON_ARGS:---model-config-name=onnxruntime --allow-client-shm=true}"
        server=("${apptainer[@]}" "$TRITON" tritonserver "--model-repository=$MODELS" "${triton_args[@]}"
            --allow-metrics=false --http-address=127.0.0.1 --grpc-address=127.0.0.1
            "--grpc-port=$port" "--http-port=$((port + 1))")
        ;;
    *) [ -z "${MODELS:-}" ] || fail "MODELS is for a server that is started here (unset it)" ;;
esac

command=(gpu-infer batch --input "$cases" --output "$output" --triton "$triton" "${options[@]}")
[ "$count" -eq 1 ] || command+=(--part "$((SLURM_ARRAY_TASK_ID - first + 1))/$count")
command+=("$@")
if [ -n "${IMAGE:-}" ]; then
    [ -z "${VENV:-}" ] || fail "IMAGE and VENV exclude each other (unset one)"
    [ -f "$IMAGE" ] || fail "IMAGE=$IMAGE: no such file"
    # The image has folders of its own for both, which cannot be written. Empty: publish nothing.
    command=("${apptainer[@]}" --env NVIDIA_CLARA_PUBLISHING= --env "NVIDIA_CLARA_LOGS=$output" "$IMAGE" "${command[@]}")
else
    if [ -n "${VENV:-}" ]; then
        [ -x "$VENV/bin/gpu-infer" ] || fail "VENV=$VENV: no bin/gpu-infer in it"
        PATH=$VENV/bin:$PATH
    fi
    command -v gpu-infer >/dev/null || fail "gpu-infer not found (set VENV or IMAGE)"
fi

# Threads of the CPU kernels: the processors of this task, not those of the node.
export NUMBA_NUM_THREADS=${NUMBA_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}

child="" server_id="" interrupted="" time_is_up=""

# shellcheck disable=SC2329  # the traps call it
forward() { # SIGNAL
    interrupted=yes
    [ -z "$child" ] || kill -s "$1" "$child" 2>/dev/null || true
}

# shellcheck disable=SC2329
stop_server() {
    [ -n "$server_id" ] || return 0
    kill -s TERM -- "-$server_id" 2>/dev/null || true
    for _ in $(seq 100); do
        kill -0 -- "-$server_id" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -s KILL -- "-$server_id" 2>/dev/null || true
}

# Slurm sends USR1 to this script alone, two minutes before the end of the time (--signal above).
trap 'time_is_up=yes; forward TERM' USR1
# At scancel and preemption it sends TERM: with proctrack/cgroup to this script alone, with proctrack/linuxproc to every
# process. gpu-infer gives up its cases at the first signal. A second TERM would kill it, a second HUP has no effect.
trap 'sleep 1; forward HUP' TERM
trap 'stop_server' EXIT

say "task ${SLURM_ARRAY_TASK_ID:-0} of $first to $last, start $((${SLURM_RESTART_COUNT:-0} + 1)): ${command[*]}"

# Sets `code` to 4 if Triton does not serve within 10 minutes, to 130 after a signal.
start_server() {
    say "starting Triton: ${server[*]}"
    set -m
    "${server[@]}" </dev/null &
    server_id=$!
    set +m
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        if [ -n "$interrupted" ]; then
            code=130
        elif ! kill -0 "$server_id" 2>/dev/null; then
            say "Triton has ended (see its log above)"
            code=4
        elif [ "$SECONDS" -ge 600 ]; then
            say "Triton does not serve after 10 minutes (see its log above)"
            code=4
        fi
        [ "$code" -eq 0 ] || return 0
        sleep 0.2
    done
}

run_batch() {
    # A process group of its own, as proctrack/pgid signals that of this script.
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
}

code=0
[ ${#server[@]} -eq 0 ] || start_server
[ "$code" -ne 0 ] || run_batch

# The number of the last task's job is that of the whole array: the task is named by both numbers.
this_task=$SLURM_JOB_ID
[ -z "${SLURM_ARRAY_JOB_ID:-}" ] || this_task=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID

requeue() { # REASON
    if [ "${SLURM_RESTART_COUNT:-0}" -ge "$max_restarts" ]; then
        say "$1; not requeued: it began $((max_restarts + 1)) times (MAX_RESTARTS=$max_restarts)"
    elif scontrol requeue "$this_task"; then
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
