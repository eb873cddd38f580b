# The operator's image. The base is an argument so that a release can pin it by digest:
#   --build-arg PYTHON_IMAGE=python:3.13-slim-trixie@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY requirements/uv.txt requirements/
RUN python3 -m venv /tools && /tools/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --only-binary=:all: --requirement requirements/uv.txt
# Wheels alone: nothing is compiled, so that no compiler is needed. Bytecode is made here, the file system is read-only later.
COPY requirements/runtime.txt requirements/
RUN python3 -m venv --without-pip /opt/mfa-operator && /tools/bin/uv pip install --no-cache --python /opt/mfa-operator/bin/python \
    --only-binary :all: --require-hashes --link-mode copy --compile-bytecode --requirement requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY requirements/dev.txt requirements/
COPY deploy/crds deploy/crds
COPY operator operator
# The build backend is held to its hash as well.
RUN /tools/bin/uv build --no-cache --wheel --python /opt/mfa-operator/bin/python --out-dir /dist \
    --build-constraints requirements/dev.txt --require-hashes \
    && /tools/bin/uv pip install --no-cache --python /opt/mfa-operator/bin/python --no-deps --compile-bytecode /dist/*.whl
# What the image consists of; the Debian packages are those of the base, which both stages stand on.
COPY requirements/sbom.txt requirements/
COPY tools/sbom.py tools/
RUN python3 -m venv --without-pip /sbom && /tools/bin/uv pip install --no-cache --python /sbom/bin/python \
    --only-binary :all: --require-hashes --requirement requirements/sbom.txt \
    && /sbom/bin/python tools/sbom.py /opt/mfa-operator/bin/python /mfa-operator.cdx.json

FROM ${PYTHON_IMAGE}
# Nothing that installs anything: not in the interpreter, and the environment was made without it. The base comes without
# bytecode of the standard library, which every start would compile: a read-only file system keeps none.
RUN library="$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && rm -rf "$library/ensurepip" "$library"/site-packages/pip* /usr/lib/python3/dist-packages/pip* \
    /usr/share/python-wheels /usr/bin/pip* /usr/local/bin/pip* \
    && python3 -m compileall -q -x '/(tests?|idlelib|turtledemo|tkinter|site-packages)/' "$library"
COPY --from=build /opt/mfa-operator /opt/mfa-operator
COPY --from=build /mfa-operator.cdx.json /usr/share/sbom/
# Two arenas: with one a thread, glibc keeps a fifth more memory, and nothing is faster.
ENV PATH=/opt/mfa-operator/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mfa-operator" \
    org.opencontainers.image.description="Audits AWS accounts for IAM users who can sign in to the console without MFA" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
WORKDIR /
# A number, so that the kubelet can tell that it is not root.
USER 65532:65532
EXPOSE 8080 9090
ENTRYPOINT ["mfa-operator"]
CMD ["run"]
