# Baton in a container: `docker build -t baton .` and `docker run -p 8000:8000 baton`, or compose.yaml with a Redis.
# The widget is part of the repository as it is built, so nothing here needs Node.
FROM python:3.11-slim-bookworm AS packages
# Any value adds the packages for search by meaning: --build-arg SEMANTIC=1
ARG SEMANTIC=
WORKDIR /baton
COPY requirements*.txt ./
RUN python -m venv --without-pip /opt/venv \
    && for list in requirements.txt ${SEMANTIC:+requirements-semantic.txt}; do \
         python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --only-binary :all: \
           --require-hashes -r "$list" || exit 1; \
       done \
    && /opt/venv/bin/python -m compileall -q /opt/venv/lib \
    && install -d -o 10001 -g 10001 /data

FROM python:3.11-slim-bookworm
COPY --from=packages /opt/venv /opt/venv
COPY --from=packages --chown=10001:10001 /data /data
WORKDIR /baton
COPY LICENSE pyproject.toml gunicorn.conf.py ./
COPY app app
COPY docs docs
COPY pages pages
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/data \
    HOST=0.0.0.0 \
    PORT=8000 \
    BATON_DATA_DIR=/data
# No root and no name: a number is enough to own the data folder.
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; to = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); to.request('GET', '/health'); sys.exit(to.getresponse().status != 200)"]
STOPSIGNAL SIGTERM
CMD ["gunicorn", "--config", "gunicorn.conf.py", "app:create_app()"]
