#!/usr/bin/env bash
# Run an operator once with a Triton of its own: the counterpart of the start script in the guide of the Clara Deploy Base
# Inference Operator V2. docs/deploy.md describes it; --help lists the options.
set -euo pipefail

show_help() {
    cat <<'END'
Usage: run_operator.sh [OPTION]...

Create a network, start Triton, wait until it is ready, run the operator once, stop Triton, remove the network.

  --image IMAGE         operator (default: gpu_infer, with --cpu gpu_infer:cpu)
  --triton-image IMAGE  NVIDIA's tritonserver image; needed unless $TRITON_IMAGE names it
  --models FOLDER       model repository of Triton (default: models)
  --config FOLDER       folder with config_inference.json, or that file, instead of the configuration of the image
  --input FOLDER        folder with the volume (default: input)
  --output FOLDER       folder for the segmentation (default: output)
  --logs FOLDER         folder for log and report (default: logs)
  --publish FOLDER      folder for a renderer (default: publish)
  --gpu N               number of the GPU that Triton and the operator share (default: 0)
  --cpu                 no GPU in either container
  --user UID:GID        user of the operator (default: you)
  --wait SECONDS        time until Triton must be ready (default: 600)
  --local               no containers: `gpu-infer run --triton local`, with the installed gpu-infer
  --dry-run             print the commands and run none of them
  -h, --help            print this text

Environment:
  CONTAINER_ENGINE      docker or podman (default: the first that is installed)
  TRITON_IMAGE          default of --triton-image
  TRITON_ARGS           arguments of tritonserver after the model repository, separated by spaces (default:
                        --model-config-name=onnxruntime --allow-client-shm=true --allow-metrics=false,
                        with --cpu --model-config-name=onnxruntime_cpu)
  DEBUG_VSCODE          TRUE or 1: the operator waits for a debugger (debugpy must be in its image)
  DEBUG_VSCODE_PORT     port for it (default: 5678)
  DEBUG_VSCODE_HOST     address of this machine on which that port is open (default: 127.0.0.1)
  NVIDIA_CLARA_PUBLISHING
                        empty: publish nothing, unless --publish is given
  NVIDIA_CLARA_*        any other that this script does not set is passed on to the operator

The exit code is the operator's. 2: wrong usage, 4: Triton is not ready, 130: interrupted.
END
}

fail() { # CODE MESSAGE
    echo "run_operator: error: $2" >&2
    exit "$1"
}

say() { echo "run_operator: $*" >&2; }

# Print the command under --dry-run, else run it.
run() {
    if [ -n "$dry_run" ]; then
        printf '%q ' "$@" | sed 's/ $//'
        echo
    else
        "$@"
    fi
}

# The same without what the engine prints on stdout: names and identifiers that nobody needs.
quietly() {
    if [ -n "$dry_run" ]; then run "$@"; else "$@" >/dev/null; fi
}

image="" triton_image="" models=models config="" input=input output=output logs=logs publish=""
gpu="" cpu="" user="" wait_s=600 local="" dry_run=""

while [ $# -gt 0 ]; do
    case $1 in
        --image | --triton-image | --models | --config | --input | --output | --logs | --publish | --gpu | --user | --wait)
            [ -n "${2:-}" ] || fail 2 "$1 has no value (see --help)" ;;
    esac
    case $1 in
        --image) image=$2; shift ;;
        --triton-image) triton_image=$2; shift ;;
        --models) models=$2; shift ;;
        --config) config=$2; shift ;;
        --input) input=$2; shift ;;
        --output) output=$2; shift ;;
        --logs) logs=$2; shift ;;
        --publish) publish=$2; shift ;;
        --gpu) gpu=$2; shift ;;
        --user) user=$2; shift ;;
        --wait) wait_s=$2; shift ;;
        --cpu) cpu=yes ;;
        --local) local=yes ;;
        --dry-run) dry_run=yes ;;
        -h | --help) show_help; exit 0 ;;
        *) fail 2 "unknown argument $1 (see --help)" ;;
    esac
    shift
done

case $wait_s in *[!0-9]*) fail 2 "--wait $wait_s: expected a whole number of seconds" ;; esac
[ -z "$cpu" ] || [ -z "$gpu" ] || fail 2 "--cpu and --gpu exclude each other (leave one out)"
if [ -n "$local" ] && [ -n "$image$triton_image$user" ]; then
    fail 2 "--local starts no containers: leave out --image, --triton-image and --user"
fi

debug_port=""
case $(printf %s "${DEBUG_VSCODE:-}" | tr '[:upper:]' '[:lower:]') in
    1 | true | yes | on) debug_port=${DEBUG_VSCODE_PORT:-5678} ;;
    "" | 0 | false | no | off) ;;
    *) fail 2 "DEBUG_VSCODE=$DEBUG_VSCODE: expected TRUE, 1, FALSE or 0 (unset it to run without a debugger)" ;;
esac
case $debug_port in *[!0-9]*) fail 2 "DEBUG_VSCODE_PORT=$debug_port: expected a port number (the usual one is 5678)" ;; esac

# The script decides on these; any other NVIDIA_CLARA_* is passed on, since a configuration can refer to it.
settings="INPUT OUTPUT LOGS PUBLISHING CONFIG_INFERENCE TRTISURI NOSYNCLOCK"
passed_on=()
for name in $(compgen -A export NVIDIA_CLARA_); do
    case " $settings " in *" ${name#NVIDIA_CLARA_} "*) ;; *) passed_on+=("$name") ;; esac
done
for name in INPUT OUTPUT LOGS PUBLISHING CONFIG_INFERENCE TRTISURI; do
    variable=NVIDIA_CLARA_$name
    [ -z "${!variable:-}" ] || say "warning: $variable of the environment is not used (--help lists the options)"
done
# Set, but empty: publish nothing, as for the operator.
if [ -z "$publish" ] && [ -n "${NVIDIA_CLARA_PUBLISHING-unset}" ]; then
    publish=publish
fi

# Absolute path of a folder that must exist.
existing() { # OPTION FOLDER
    [ -d "$2" ] || fail 2 "$1 $2: no such folder (create it, or give another one with $1)"
    (cd -- "$2" && pwd)
}

# The same for a folder that is created. As its owner, so that the operator may write to it; Docker would create it for root.
created() { # OPTION FOLDER
    if [ -n "$dry_run" ] && [ ! -d "$2" ]; then
        case $2 in /*) echo "$2" ;; *) echo "$PWD/$2" ;; esac
        return
    fi
    mkdir -p -- "$2" || fail 2 "$1 $2: cannot be created (give another folder with $1)"
    (cd -- "$2" && pwd)
}

models=$(existing --models "$models")
input=$(existing --input "$input")
if [ -n "$config" ]; then
    # The file itself means its folder.
    if [ "$(basename -- "$config")" = config_inference.json ] && [ -f "$config" ]; then
        config=$(dirname -- "$config")
    fi
    config=$(existing --config "$config")
    [ -f "$config/config_inference.json" ] || fail 2 "--config $config: no config_inference.json in this folder (add it)"
fi
output=$(created --output "$output")
logs=$(created --logs "$logs")
[ -z "$publish" ] || publish=$(created --publish "$publish")

if [ -n "$local" ]; then
    command=(gpu-infer run --triton local --models "$models" --input "$input" --first --output "$output" --logs "$logs"
        --publish "$publish" --wait "$wait_s")
    [ -z "$config" ] || command+=(--config "$config/config_inference.json")
    [ -z "$cpu" ] || command+=(--device cpu)
    [ -z "$gpu" ] || command=(env "CUDA_VISIBLE_DEVICES=$gpu" "${command[@]}")
    [ -n "$dry_run" ] || command -v gpu-infer >/dev/null \
        || fail 2 "gpu-infer is not installed (pip install gpu-infer, or activate its environment)"
    [ -n "$dry_run" ] || exec "${command[@]}"
    run "${command[@]}"
    exit 0
fi

engine=${CONTAINER_ENGINE:-}
if [ -z "$engine" ]; then
    engine=$(command -v docker >/dev/null && echo docker || echo podman)
fi
case $engine in
    docker | podman) ;;
    *) fail 2 "CONTAINER_ENGINE=$engine: expected docker or podman" ;;
esac
triton_image=${triton_image:-${TRITON_IMAGE:-}}
[ -n "$triton_image" ] || fail 2 "no Triton image (name NVIDIA's tritonserver image with --triton-image or TRITON_IMAGE)"
if [ -z "$dry_run" ]; then
    for program in "$engine" curl; do
        command -v "$program" >/dev/null || fail 2 "$program not found (install it, or use --local)"
    done
fi
for path in "$models" "$input" "$output" "$logs" "$publish" "$config"; do
    case $path in *:*) fail 2 "$path: $engine cannot mount a path with a colon (rename the folder)" ;; esac
done

# Names of this run alone, so that two may run at the same time.
network=gpu_infer-$$
triton=gpu_infer-triton-$$
operator_name=gpu_infer-operator-$$
default_args="--model-config-name=onnxruntime${cpu:+_cpu} --allow-client-shm=true --allow-metrics=false"
read -ra triton_args <<<"${TRITON_ARGS:-$default_args}"

# One /dev/shm for system shared memory; one process namespace and one GPU for CUDA shared memory (docs/deploy.md).
shared=(--network "$network" --ipc host)
if [ -z "$cpu" ]; then
    shared+=(--pid host)
    case $engine in
        docker) shared+=(--gpus "device=${gpu:-0}") ;;
        podman) shared+=(--device "nvidia.com/gpu=${gpu:-0}") ;;
    esac
fi
# Podman labels nothing that it mounts, and SELinux would refuse the folders.
[ "$engine" = docker ] || shared+=(--security-opt label=disable)

# No --rm: if Triton ends at once, its log is still there to be shown. A free port of the loopback address is for the
# request for readiness; the operator uses the network.
start_triton=("$engine" run --detach --name "$triton" "${shared[@]}" --network-alias triton --publish 127.0.0.1::8000
    --volume "$models:/models:ro" "$triton_image" tritonserver --model-repository=/models "${triton_args[@]}")

operator=("$engine" run --rm --name "$operator_name" "${shared[@]}" --user "${user:-$(id -u):$(id -g)}")
# Rootless Podman maps other users to users of the host that own nothing.
if [ "$engine" = podman ] && [ -z "$user" ] && [ "$(id -u)" != 0 ]; then
    operator+=(--userns keep-id)
fi
operator+=(--read-only --tmpfs /tmp --security-opt no-new-privileges
    --volume "$input:/input:ro" --volume "$output:/output" --volume "$logs:/logs"
    --env NVIDIA_CLARA_INPUT=/input --env NVIDIA_CLARA_OUTPUT=/output --env NVIDIA_CLARA_LOGS=/logs
    --env "NVIDIA_CLARA_PUBLISHING=${publish:+/publish}" --env NVIDIA_CLARA_TRTISURI=triton:8001
    --env NVIDIA_CLARA_NOSYNCLOCK=TRUE)
[ -z "$publish" ] || operator+=(--volume "$publish:/publish")
if [ -n "$debug_port" ]; then
    # The port is open to the network of the container, and is published on one address of this machine alone.
    operator+=(--env DEBUG_VSCODE=TRUE --env "DEBUG_VSCODE_PORT=$debug_port" --env DEBUG_VSCODE_HOST=0.0.0.0
        --publish "${DEBUG_VSCODE_HOST:-127.0.0.1}:$debug_port:$debug_port")
fi
# By name alone: the engine reads the values, which other users of this machine could see in its arguments.
for name in ${passed_on[@]+"${passed_on[@]}"}; do
    operator+=(--env "$name")
done
if [ -n "$config" ]; then
    operator+=(--volume "$config:/config:ro" --env NVIDIA_CLARA_CONFIG_INFERENCE=/config/config_inference.json)
fi
if [ -z "$image" ]; then
    image=gpu_infer${cpu:+:cpu}
fi
operator+=("$image")

# What was never created is removed, too: a step that was interrupted may have created it.
clean_up() {
    trap '' INT TERM HUP
    [ -n "$dry_run" ] || say "stopping Triton"
    quietly "$engine" stop "$triton" 2>/dev/null || true
    quietly "$engine" rm --force "$triton" "$operator_name" 2>/dev/null || true
    quietly "$engine" network rm "$network" 2>/dev/null || true
    if [ -z "$dry_run" ] && "$engine" network inspect "$network" >/dev/null 2>&1; then
        say "warning: network $network was not removed ($engine network rm $network)"
    fi
}

# Passed on to the operator, which then ends by itself; the script ends after it.
forward() { # SIGNAL
    interrupted=yes
    [ -n "$child" ] || exit 130
    kill -s "$1" "$child" 2>/dev/null || true
}

wait_for_triton() {
    local address deadline=$((SECONDS + wait_s))
    if [ -n "$dry_run" ]; then
        run "$engine" port "$triton" 8000/tcp
        run curl --silent --fail --noproxy '*' --max-time 5 http://127.0.0.1:PORT/v2/health/ready
        return
    fi
    address=$("$engine" port "$triton" 8000/tcp | head -n 1) || address=""
    until [ -n "$address" ] && curl --silent --fail --noproxy '*' --max-time 5 "http://$address/v2/health/ready" >/dev/null; do
        if [ "$("$engine" inspect --format '{{.State.Running}}' "$triton" 2>/dev/null)" != true ]; then
            "$engine" logs --tail 20 "$triton" >&2 || true
            fail 4 "Triton has ended (see its log above)"
        fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            "$engine" logs --tail 20 "$triton" >&2 || true
            fail 4 "Triton was not ready after $wait_s s (see its log above; --wait changes the limit)"
        fi
        sleep 1
        [ -n "$address" ] || address=$("$engine" port "$triton" 8000/tcp | head -n 1) || address=""
    done
}

run_operator() {
    local code=0
    if [ -n "$dry_run" ]; then
        run "${operator[@]}"
        return
    fi
    # A process group of its own: at Ctrl-C the operator gets one signal, from `forward`. A second one would kill it.
    set -m
    "${operator[@]}" </dev/null &
    child=$!
    set +m
    while :; do
        code=0
        wait "$child" || code=$?
        kill -0 "$child" 2>/dev/null || break
    done
    child=""
    [ -z "$interrupted" ] || [ "$code" = 0 ] || code=130
    return "$code"
}

child="" interrupted=""
trap clean_up EXIT
trap 'forward INT' INT
trap 'forward TERM' TERM
trap 'forward HUP' HUP

quietly "$engine" network create "$network"
[ -n "$dry_run" ] || say "starting Triton and waiting until it is ready, at most $wait_s s"
quietly "${start_triton[@]}"
wait_for_triton
[ -n "$dry_run" ] || say "running $image"
run_operator
