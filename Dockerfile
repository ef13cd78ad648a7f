# t2fast with its Triton kernels, for a machine with an NVIDIA driver (docker run --gpus all):
#   docker build -t t2fast .
#   docker run --rm --gpus all t2fast doctor
# PyTorch's wheels bring CUDA along, so no CUDA image is needed; Triton compiles its launchers with a C compiler.
FROM rust:1-slim-bookworm AS wheel
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip python3-venv && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /venv && /venv/bin/pip install --no-cache-dir 'maturin>=1.9,<2'
WORKDIR /src
COPY . .
RUN /venv/bin/maturin build --release --locked --out /dist

FROM python:3.12-slim-bookworm
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY --from=wheel /dist /dist
RUN pip install --no-cache-dir "$(echo /dist/*.whl)[gpu,readers,report,tasks]" && rm -rf /dist
WORKDIR /work
ENTRYPOINT ["t2fast"]
CMD ["--help"]
