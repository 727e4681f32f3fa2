# docker build -t athena-tuning . && docker run -p 8501:8501 athena-tuning
FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/athena \
 && /opt/athena/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt '.[all]'

FROM python:3.13-slim
COPY --from=build /opt/athena /opt/athena
RUN useradd --system --create-home --home-dir /data --uid 10001 athena
USER athena
WORKDIR /data
VOLUME /data
ENV PATH=/opt/athena/bin:$PATH ATHENA_TUNING_HOME=/data PYTHONUNBUFFERED=1
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=2)"]
CMD ["athena-tuning", "dashboard", "--host", "0.0.0.0"]
