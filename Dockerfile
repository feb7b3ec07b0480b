# syntax=docker/dockerfile:1
# gpu_infer as a one-shot container: environment variables in, files out (docs/deploy.md).
#
#   docker build -t gpu_infer .                            GPU, CUDA 12
#   docker build -t gpu_infer --build-arg CUDA=13 --build-arg GPU_IMAGE=nvidia/cuda:13.0.2-runtime-ubuntu24.04 .
#   docker build -t gpu_infer:cpu --build-arg VARIANT=cpu .
#   docker build -t gpu_infer:cpu-dicom --build-arg VARIANT=cpu --build-arg EXTRAS=dicom .
#   docker build -t app_base_inference_v2 --build-arg OPERATOR_USER=0:0 .      for start scripts of that operator
ARG VARIANT=gpu
ARG GPU_IMAGE=nvidia/cuda:12.9.1-runtime-ubuntu24.04
ARG CPU_IMAGE=debian:bookworm-slim

FROM ${CPU_IMAGE} AS base-cpu

FROM ${GPU_IMAGE} AS base-gpu

# One of the two stages above; hadolint takes the name for an image without a tag.
# hadolint ignore=DL3006
FROM base-${VARIANT} AS base
# Both distributions freeze these packages within a release, and drop old versions from their mirrors: a pinned version
# would only break the build on the day of a security update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

FROM base AS build
ARG VARIANT
ARG CUDA=12
# Optional features, with commas between them: dicom, dask, metrics, filters (the GPU variant has these).
ARG EXTRAS
WORKDIR /src
RUN python3 -m venv /opt/gpu_infer
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY config config
COPY backends backends
COPY kernels kernels
COPY models models
COPY gpu_infer gpu_infer
RUN case "${VARIANT}" in \
        gpu) extras="cuda${CUDA}${EXTRAS:+,${EXTRAS}}" ;; \
        cpu) extras="${EXTRAS}" ;; \
        *) echo "VARIANT=${VARIANT}: expected gpu or cpu" >&2; exit 2 ;; \
    esac \
    && (IFS=,; for extra in ${EXTRAS}; do \
        case "${extra}" in \
            dicom | dask | metrics | filters) ;; \
            *) echo "EXTRAS=${EXTRAS}: found ${extra}, expected dicom, dask, metrics or filters" >&2; exit 2 ;; \
        esac; \
    done) \
    && /opt/gpu_infer/bin/pip install --no-cache-dir ".${extras:+[${extras}]}"
# Kernels are compiled here, for every processor with AVX2 (arm64: --build-arg NUMBA_CPU=generic) and every supported
# GPU, so that the first case of a container does not wait for a compiler.
ARG NUMBA_CPU=x86-64-v3
ENV NUMBA_CPU_NAME=${NUMBA_CPU} NUMBA_CPU_FEATURES=""
COPY deploy/warm_up.py deploy/warm_up.py
RUN /opt/gpu_infer/bin/python deploy/warm_up.py /opt/gpu_infer/kernels

FROM base AS operator
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG NUMBA_CPU=x86-64-v3
LABEL org.opencontainers.image.title="gpu_infer" \
      org.opencontainers.image.description="Inference operator for medical volumes: one volume in, one segmentation out, the model on NVIDIA Triton" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/gpu_infer /opt/gpu_infer
COPY config /app/config
COPY deploy/main.py /app/main.py
# The folders are for runs that mount nothing there and for any uid. The links are the places of the Clara Deploy Base
# Inference Operator V2: derived images copy their configuration to app_base_inference_v2/config, and
# `python3 ./app_base_inference_v2/main.py` starts the operator in /app and in /.
RUN install -d -m 1777 /input /output /logs /publish \
    && ln -s . /app/app_base_inference_v2 \
    && ln -s app /app_base_inference_v2
ENV PATH=/opt/gpu_infer/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CPU_NAME=${NUMBA_CPU} \
    NUMBA_CPU_FEATURES="" \
    GPU_INFER_KERNELS=/opt/gpu_infer/kernels \
    GPU_INFER_CONTAINER=1 \
    NVIDIA_CLARA_CONFIG_INFERENCE=/app/config/config_inference.json
WORKDIR /app
# Numeric, so that Kubernetes can see that it is not root; any other uid works as well. Start scripts that pass no --user
# and mount folders of their caller need 0:0 (docs/deploy.md).
ARG OPERATOR_USER=10001:0
USER ${OPERATOR_USER}
ENTRYPOINT ["python", "-m", "gpu_infer"]
