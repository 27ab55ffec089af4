# The operator. Builds on any Debian with python3 and python3-venv; both stages use the same base, because the virtual
# environment points at its interpreter.
ARG BASE_IMAGE=python:3.13-slim-trixie

FROM ${BASE_IMAGE} AS builder
# Given where a mirror or a private CA stands between the build and the package index. They live in this stage only.
ARG PIP_INDEX_URL
ARG PIP_CERT
# 1: with the packages that send traces to an OpenTelemetry collector.
ARG TRACES=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/operator.txt requirements/traces.txt requirements/build.txt requirements/
RUN python3 -m venv /opt/accord \
 && /opt/accord/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements/operator.txt \
 && if [ -n "$TRACES" ]; then \
      /opt/accord/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements/traces.txt; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
# setuptools is needed once and stays out of /opt/accord, and so does pip.
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements/build.txt \
 && /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
 && /opt/accord/bin/pip install --quiet --no-deps --no-index /tmp/wheel/*.whl \
 && /opt/accord/bin/pip uninstall --quiet --yes pip \
 && rm -f /opt/accord/bin/activate* /opt/accord/bin/Activate* \
 && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/accord/lib

FROM ${BASE_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Accord" \
      org.opencontainers.image.description="Kubernetes operator that keeps traffic modes, PPO training and served checkpoints in accord with Git" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Nothing here installs packages at run time.
RUN rm -rf /usr/share/python-wheels /usr/lib/python3*/ensurepip /usr/lib/python3/dist-packages/pip* \
      /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/site-packages/pip* /usr/local/bin/pip*
COPY --from=builder /opt/accord /opt/accord
ENV PATH=/opt/accord/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 65532:65532
ENTRYPOINT ["accord"]
CMD ["run"]
