# The demo site in one container: daphne with the pages built in. docker-compose.yml runs two of them behind nginx.
# The database is made by `python manage.py migrate` and `seed_demo` first, once, whatever the number of nodes.

FROM node:22-slim AS pages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY project/frontend project/frontend
RUN npm run build

FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LIVE_VAR=/var/lib/live
WORKDIR /app
COPY requirements.txt ./
# And the extra `demo` of pyproject.toml.
RUN pip install --no-cache-dir --requirement requirements.txt "prometheus_client>=0.20,<1" "psutil>=6,<8" \
    && useradd --system --uid 10001 --home-dir /app live \
    && install --directory --owner=live --mode=0700 "$LIVE_VAR"
COPY manage.py ./
COPY live live
COPY project project
COPY --from=pages /app/live/static/live/vendor live/static/live/vendor
COPY --from=pages /app/project/static/project/vendor project/static/project/vendor
USER live
VOLUME /var/lib/live
EXPOSE 8000
# No shell around it: daphne itself gets the SIGTERM of `docker stop`, and drains. It believes X-Forwarded-For, so it is
# to be reached through a proxy only.
CMD ["python", "-m", "daphne", "--endpoint", "tcp:port=8000:interface=0.0.0.0:backlog=4096", "--proxy-headers", "--no-server-name", "--verbosity", "0", "project.asgi:application"]
