# PostgreSQL with DiffKeeper as its parent. Build the image `diffkeeper` first.
FROM diffkeeper AS keeper
FROM postgres:15-bookworm
COPY --from=keeper /usr/local/bin/node /usr/local/bin/node
COPY --from=keeper /opt/diffkeeper /opt/diffkeeper
RUN ln -s /opt/diffkeeper/dist/cli/main.js /usr/local/bin/diffkeeper \
 && install -d -o postgres -g postgres -m 0700 /deltas
COPY deploy/docker/postgres-entry.sh /usr/local/bin/
USER postgres
ENV DIFFKEEPER_STATE_DIR=/var/lib/postgresql/data DIFFKEEPER_STORE=/deltas/store DIFFKEEPER_CONSISTENCY=freeze
# PostgreSQL's fast shutdown. At SIGTERM it would wait for its clients until it is killed.
STOPSIGNAL SIGINT
ENTRYPOINT ["diffkeeper"]
CMD ["--", "postgres-entry.sh", "postgres"]
