# seq2seq on a CPU.
#
#   docker build -t seq2seq .
#   echo 'The teacher buys a book.' | docker run --rm -i seq2seq translate phrasebook-en-de
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/work" seq2seq train pairs.tsv --minutes 30
#
# The working folder is /work, where files of yours are mounted.

FROM python:3.12-slim AS build
RUN python -m venv /opt/seq2seq
WORKDIR /source
COPY pyproject.toml hatch_build.py README.md LICENSE constraints.txt ./
COPY seq2seq seq2seq
RUN /opt/seq2seq/bin/python -m pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.12-slim
COPY --from=build /opt/seq2seq /opt/seq2seq
# Any user may run it, so HOME is a folder that all can write to.
ENV PATH=/opt/seq2seq/bin:$PATH HOME=/tmp
RUN useradd seq2seq && mkdir /work && chown seq2seq /work
USER seq2seq
WORKDIR /work
ENTRYPOINT ["seq2seq"]
CMD ["--help"]
