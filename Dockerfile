# The service as an image: a Python environment with pinned versions, and nothing that builds.
#
# TORCH_INDEX_URL chooses the build of torch: the wheel index that PyTorch's installation page names
# for the CPU or for your CUDA version. Left empty, torch comes from where all else comes from.
# docs/docker.md says more; docker/build-offline.sh builds without a registry.

FROM debian:bookworm-slim AS python
# The base that docker/build-offline.sh makes has both already.
RUN if ! [ -x /usr/bin/python3 ] || ! [ -e /etc/ssl/certs/ca-certificates.crt ]; then \
        apt-get update && \
        apt-get install --yes --no-install-recommends ca-certificates python3 && \
        rm -rf /var/lib/apt/lists/*; \
    fi


FROM python AS builder
RUN if ! python3 -c 'import ensurepip' 2>/dev/null; then \
        apt-get update && \
        apt-get install --yes --no-install-recommends python3-venv && \
        rm -rf /var/lib/apt/lists/*; \
    fi
# pip has an environment of its own, so that the one that is served has none.
RUN python3 -m venv /build/pip && python3 -m venv --without-pip /opt/serfiq
WORKDIR /build/serfiq

ARG TORCH_INDEX_URL=""
# pip's own variables, for a folder of wheels that is mounted into the build.
ARG PIP_FIND_LINKS=""
ARG PIP_NO_INDEX=""
ARG PIP_NO_CACHE_DIR=1
ARG PIP_DISABLE_PIP_VERSION_CHECK=1

# Dependencies come before the source: a change of the source alone fetches nothing again.
# torch's index is asked for torch and for nothing else. insightface asks for opencv-python, which
# needs a display's libraries; the headless build has the same modules and takes its place.
COPY pyproject.toml constraints.txt ./
RUN --mount=type=secret,id=pip_config,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    pip="/build/pip/bin/pip --python /opt/serfiq/bin/python" && \
    python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
        > requirements.txt && \
    if [ -n "$TORCH_INDEX_URL" ]; then \
        $pip install --constraint constraints.txt --no-deps --index-url "$TORCH_INDEX_URL" torch; \
    fi && \
    $pip install --constraint constraints.txt --requirement requirements.txt && \
    $pip uninstall --yes opencv-python opencv-python-headless && \
    $pip install --constraint constraints.txt --no-deps opencv-python-headless

COPY README.md LICENSE ./
COPY serfiq_core serfiq_core
COPY app app
RUN --mount=type=secret,id=pip_config,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    /build/pip/bin/pip --python /opt/serfiq/bin/python install --no-deps .


FROM python AS service
LABEL org.opencontainers.image.title="serfiq" \
      org.opencontainers.image.description="How useful a face photograph will be to your own recogniser: SER-FIQ as a REST service" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"

# For a GPU: what Triton compiles its kernel with; docker/compose.gpu.yml names it.
ARG SYSTEM_PACKAGES=""
RUN if [ -n "$SYSTEM_PACKAGES" ]; then \
        apt-get update && \
        apt-get install --yes --no-install-recommends $SYSTEM_PACKAGES && \
        rm -rf /var/lib/apt/lists/*; \
    fi

# A number, so that orchestrators can see that it is not root's; above the range of people's users.
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin serfiq && \
    install --directory --owner=10001 --group=10001 /var/lib/serfiq/packs
COPY --from=builder /opt/serfiq /opt/serfiq

# onnxruntime's own builds report to their maker unless told not to.
ENV PATH=/opt/serfiq/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    SERFIQ_HOST=0.0.0.0 \
    SERFIQ_PORT=8000 \
    SERFIQ_PACKS_DIR=/var/lib/serfiq/packs

USER 10001:10001
WORKDIR /
EXPOSE 8000
# http.client, as urllib would send the question to a proxy that the environment names. Of all
# addresses, the one of this machine is asked.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; host = os.environ.get('SERFIQ_HOST') or '127.0.0.1'; host = {'0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host); c = http.client.HTTPConnection(host, int(os.environ.get('SERFIQ_PORT') or 8000), timeout=4); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["serfiq"]
CMD ["serve"]
